//! Quantization of DCT coefficients (T.81, section A.3.4).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use std::array::from_fn;

use darkroom_model::recipe::{Effort, Quality};
use darkroom_raster::simd::round_to_i32;

use super::{block::Block, fdct::Matrix, trellis::Trellis};
use crate::zigzag::ZIGZAG;

/// Quantizes the blocks of a component.
pub(super) struct Quantizer {
    /// The quantization table in natural order.
    pub(super) table: [u8; 64],
    reciprocals: [f32; 64],
    trellis: Option<Trellis>,
}

/// Quantization step at a quality of 50, by the sum of the vertical and the horizontal frequency. Found by measurement:
/// photographs take a tenth fewer bytes at equal SSIMULACRA2 than with the tables of T.81, annex K, which most programs use,
/// or with those published since. Low frequencies are visible at every viewing distance, so their steps are small.
const LUMA_STEPS: [u8; 15] = [11, 10, 25, 30, 31, 33, 40, 45, 50, 53, 56, 73, 95, 124, 160];
const CHROMA_STEPS: [u8; 15] = [8, 12, 16, 23, 28, 32, 38, 44, 53, 64, 77, 92, 111, 133, 160];

/// The cost of a bit in the trellis, in squared quantization steps.
const COST_PER_BIT: f32 = 0.056;

/// The factor of the quantization steps at a quality, on the scale of libjpeg, which is widely known.
fn step_factor(quality: Quality) -> f32 {
    match f32::from(quality.get()) {
        quality @ ..50.0 => 50.0 / quality,
        quality => 2.0 - quality / 50.0,
    }
}

impl Quantizer {
    /// One for Y, and one for both Cb and Cr.
    pub(super) fn for_luma_and_chroma(quality: Quality, effort: Effort) -> [Self; 2] {
        let factor = step_factor(quality);
        // Trellis quantization of chroma, which has few nonzero coefficients, saves nothing at equal SSIMULACRA2.
        let trellis = (effort == Effort::Best).then(|| Trellis::new(COST_PER_BIT));
        [Self::new(&LUMA_STEPS, factor, trellis), Self::new(&CHROMA_STEPS, factor, None)]
    }

    fn new(steps: &[u8; 15], factor: f32, trellis: Option<Trellis>) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 to 255")]
        let table = from_fn(|i| (f32::from(steps[i / 8 + i % 8]) * factor).round().clamp(1.0, 255.0) as u8);
        Self { table, reciprocals: table.map(|step| 1.0 / f32::from(step)), trellis }
    }

    /// Quantizes the coefficients of a block.
    #[inline(always)]
    pub(super) fn quantize(&self, coefficients: &Matrix) -> Block {
        let coefficients = coefficients.as_flattened();
        let exact: [f32; 64] = from_fn(|i| coefficients[i] * self.reciprocals[i]);
        let quantized: [i16; 64] = from_fn(|i| round(exact[i]));
        // A bitmap of the nonzero coefficients, one bit for each row in each column: this vectorizes well.
        let mut columns = [0_u16; 8];
        for (y, row) in quantized.chunks_exact(8).enumerate() {
            for (column, coefficient) in columns.iter_mut().zip(row) {
                *column |= u16::from(*coefficient != 0) << y;
            }
        }
        let mut block = Block { coefficients: quantized, nonzero: zigzag_bitmap(columns) };
        if let Some(trellis) = &self.trellis {
            trellis.optimize_block(&exact, &mut block);
        }
        block
    }
}

/// Rounds to the nearest integer that has a Huffman symbol: AC coefficients have at most 10 magnitude bits (T.81, table F.2).
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // clamped
fn round(value: f32) -> i16 {
    round_to_i32(value.clamp(-1023.0, 1023.0)) as i16
}

/// Converts a bitmap from column order to zig-zag order.
#[inline(always)]
fn zigzag_bitmap(columns: [u16; 8]) -> u64 {
    columns.iter().zip(&ZIGZAG_BITS).fold(0, |bits, (column, zigzag_bits)| {
        bits | zigzag_bits[0][usize::from(column & 15)] | zigzag_bits[1][usize::from(column >> 4 & 15)]
    })
}

/// For each column, each half of it and each value of its four bits: the same bits in zig-zag order.
static ZIGZAG_BITS: [[[u64; 16]; 2]; 8] = {
    let mut table = [[[0; 16]; 2]; 8];
    let mut index = 0;
    while index < 64 {
        let (x, y) = (ZIGZAG[index] as usize % 8, ZIGZAG[index] as usize / 8);
        let mut bits = 0;
        while bits < 16 {
            if bits >> (y % 4) & 1 == 1 {
                table[x][y / 4][bits] |= 1 << index;
            }
            bits += 1;
        }
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nonzero_coefficient_has_its_own_bit() {
        let quantizer = Quantizer::new(&[1; 15], 1.0, None);
        for (index, natural_index) in ZIGZAG.iter().enumerate() {
            let mut coefficients = Matrix::default();
            coefficients.as_flattened_mut()[usize::from(*natural_index)] = -7.4;
            let block = quantizer.quantize(&coefficients);
            assert_eq!(block.nonzero, 1 << index);
            assert_eq!(block.coefficients[usize::from(*natural_index)], -7);
        }
    }

    #[test]
    fn quantized_coefficients_are_rounded_and_clamped_to_what_can_be_coded() {
        let values = [-5000.0, -1023.4, -1.51, -0.49, 0.0, 0.49, 0.51, 2.5, 4096.0];
        assert_eq!(values.map(round), [-1023, -1023, -2, 0, 0, 0, 1, 2, 1023]);
    }
}
