//! A block of quantized DCT coefficients (T.81, section A.3.4).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::zigzag::ZIGZAG;

/// The quantized coefficients of an 8×8 block.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// In natural order: rows by vertical, columns by horizontal frequency.
    pub(super) coefficients: [i16; 64],
    /// One bit for each coefficient that is not zero; bit 0 is the DC coefficient, the others follow in zig-zag order.
    pub(super) nonzero: u64,
}

impl Block {
    /// The coefficient with an index in zig-zag order.
    #[inline(always)]
    pub(super) fn coefficient(&self, zigzag_index: u32) -> i16 {
        self.coefficients[natural_index(zigzag_index)]
    }

    #[inline(always)]
    pub(super) fn coefficient_mut(&mut self, zigzag_index: u32) -> &mut i16 {
        &mut self.coefficients[natural_index(zigzag_index)]
    }
}

/// The index in natural order of an index in zig-zag order.
#[inline(always)]
pub(super) fn natural_index(zigzag_index: u32) -> usize {
    usize::from(ZIGZAG[zigzag_index as usize % 64])
}
