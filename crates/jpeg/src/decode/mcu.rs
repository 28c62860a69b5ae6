//! The MCUs of a scan: their data units in order, and the restart intervals (T.81, sections A.2 and E.2.4).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::{
    bit_reader::BitReader,
    data_unit::decode_data_unit,
    entropy_coded_segments::EntropyCodedSegments,
    frame::Frame,
    idct::{BlockBatch, LANES},
};

/// Reads a scan MCU by MCU.
pub(super) struct McuReader<'a> {
    frame: &'a Frame,
    segments: &'a EntropyCodedSegments,
    /// The index of the current restart interval.
    interval: usize,
    /// The unread bits of that interval.
    bits: BitReader<'a>,
    /// The MCUs that are left in it.
    mcus_left: usize,
    /// PRED of each component: the DC coefficient of its previous data unit (T.81, section F.1.1.5.1).
    dc_predictors: [i16; 3],
}

impl<'a> McuReader<'a> {
    pub(super) fn new(frame: &'a Frame, segments: &'a EntropyCodedSegments) -> Option<Self> {
        let mcus_left = frame.restart_interval;
        Some(Self { frame, segments, interval: 0, bits: segments.reader(0)?, mcus_left, dc_predictors: [0; 3] })
    }

    /// Decodes the next MCU, the number `mcu` of the current group of [`LANES`] MCUs, into the batches of each component.
    /// `None` if the entropy-coded segment is corrupt.
    #[inline(always)]
    pub(super) fn read(&mut self, batches: &mut [Vec<BlockBatch>], mcu: usize) -> Option<()> {
        if self.mcus_left == 0 {
            if !self.bits.is_exhausted() {
                return None;
            }
            self.interval += 1;
            self.bits = self.segments.reader(self.interval)?;
            self.mcus_left = self.frame.restart_interval;
            self.dc_predictors = [0; 3];
        }
        self.mcus_left -= 1;
        for ((component, batches), dc_predictor) in
            self.frame.components.iter().zip(batches).zip(&mut self.dc_predictors)
        {
            let (h, v) = component.sampling;
            let tables = (&*component.dc_table, &*component.ac_table);
            for row in 0..v {
                for column in 0..h {
                    // Blocks that are side by side in the picture are adjacent lanes of the batches of that row.
                    let block = mcu * h + column;
                    let batch = &mut batches[row * h + block / LANES];
                    decode_data_unit(&mut self.bits, tables, dc_predictor, &component.idct, batch, block % LANES)?;
                }
            }
        }
        (!self.bits.is_overrun()).then_some(())
    }

    /// Whether the last entropy-coded segment was read to its end.
    pub(super) fn is_exhausted(&self) -> bool {
        self.bits.is_exhausted()
    }
}
