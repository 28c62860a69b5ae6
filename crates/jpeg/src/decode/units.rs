//! Units of blocks, in the order in which a scan has them (T.81, annex A.2).
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use super::{
    entropy::{Bits, Data},
    frame::Frame,
    inverse::{Batch, LANES},
};

/// Reads a scan unit by unit.
pub(super) struct Units<'a> {
    frame: &'a Frame,
    data: &'a Data,
    /// The current interval, ...
    interval: usize,
    bits: Bits<'a>,
    /// ... and how many units are left of it.
    left: usize,
    /// Of each component: the mean of the block before.
    means: [i16; 3],
}

impl<'a> Units<'a> {
    pub(super) fn new(frame: &'a Frame, data: &'a Data) -> Option<Self> {
        Some(Self { frame, data, interval: 0, bits: data.interval(0)?, left: frame.interval, means: [0; 3] })
    }

    /// Reads a unit to its place in the batches of each component. `None` if it is none.
    #[inline(always)]
    pub(super) fn read(&mut self, batches: &mut [Vec<Batch>], unit: usize) -> Option<()> {
        if self.left == 0 {
            if !self.bits.are_read() {
                return None;
            }
            self.interval += 1;
            self.bits = self.data.interval(self.interval)?;
            self.left = self.frame.interval;
            self.means = [0; 3];
        }
        self.left -= 1;
        for ((component, batches), mean) in self.frame.components.iter().zip(batches).zip(&mut self.means) {
            let (columns, rows) = component.blocks;
            let codes = (&*component.means, &*component.frequencies);
            for row in 0..rows {
                for column in 0..columns {
                    let place = unit * columns + column;
                    let batch = &mut batches[row * columns + place / LANES];
                    self.bits.block(codes, mean, component.inverse.wanted, batch, place % LANES)?;
                }
            }
        }
        (!self.bits.are_passed()).then_some(())
    }

    /// Whether nothing is left of the last interval.
    pub(super) fn are_read(&self) -> bool {
        self.bits.are_read()
    }
}
