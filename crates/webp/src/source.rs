//! The samples of a macroblock in the orders in which they are used.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{
    planes::Planes,
    transform::{BlockLanes, LANES},
};

/// The samples of a macroblock.
pub(crate) struct Source {
    /// Luma, blocks in lanes.
    pub(crate) luma: BlockLanes,
    /// Luma, block by block.
    pub(crate) subblocks: [[i16; 16]; 16],
    /// The four blocks of Cb and the four of Cr in lanes, twice.
    pub(crate) chroma: BlockLanes,
}

impl Source {
    #[inline(always)]
    pub(crate) fn new(planes: &Planes, column: usize, row: usize) -> Self {
        let stride = planes.macroblock_columns * 16;
        let mut source = Self { luma: [[0; LANES]; 16], subblocks: [[0; 16]; 16], chroma: [[0; LANES]; 16] };
        for y in 0..16 {
            let samples = &planes.luma[(row * 16 + y) * stride + column * 16..][..16];
            for x in 0..16 {
                let sample = i16::from(samples[x]);
                let (block, position) = (y / 4 * 4 + x / 4, y % 4 * 4 + x % 4);
                source.luma[position][block] = sample;
                source.subblocks[block][position] = sample;
            }
        }
        for (plane, samples) in [&planes.cb, &planes.cr].into_iter().enumerate() {
            for y in 0..8 {
                let samples = &samples[(row * 8 + y) * stride / 2 + column * 8..][..8];
                for x in 0..8 {
                    let (block, position) = (plane * 4 + y / 4 * 2 + x / 4, y % 4 * 4 + x % 4);
                    source.chroma[position][block] = samples[x].into();
                    source.chroma[position][block + 8] = samples[x].into();
                }
            }
        }
        source
    }
}
