//! Level shift and conversion from YCbCr to RGB (T.81, section A.3.1; JFIF 1.02, "Conversion to and from RGB").
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::idct::{MAX_ROW_SAMPLES, ROW_CAPACITY};
use darkroom_raster::simd::round_to_i32;

/// A row of gray pixels, from luma samples around zero.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // 0 to 255
pub(super) fn to_gray(luma: &[f32], row: &mut [u8]) {
    for (pixel, luma) in row.iter_mut().zip(luma) {
        *pixel = level_shift(*luma) as u8;
    }
}

/// A row of RGB pixels, from Y, Cb and Cr samples around zero.
#[inline(always)]
pub(super) fn ycbcr_to_rgb(
    y: &[f32; ROW_CAPACITY],
    cb: &[f32; ROW_CAPACITY],
    cr: &[f32; ROW_CAPACITY],
    row: &mut [u8],
) {
    let mut pixels = [0_u32; MAX_ROW_SAMPLES];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (y, cb, cr) = (y[i], cb[i], cr[i]);
        let r = level_shift(1.402_f32.mul_add(cr, y));
        let g = level_shift((-0.714_136_f32).mul_add(cr, (-0.344_136_f32).mul_add(cb, y)));
        let b = level_shift(1.772_f32.mul_add(cb, y));
        *pixel = r | g << 8 | b << 16;
    }
    // Four pixels of 24 bits are three words of 32 bits.
    let whole = row.len() / 12 * 4;
    for (words, four) in row.chunks_exact_mut(12).zip(pixels.chunks_exact(4)) {
        let [a, b, c, d] = [four[0], four[1], four[2], four[3]];
        words[..4].copy_from_slice(&(a | b << 24).to_le_bytes());
        words[4..8].copy_from_slice(&(b >> 8 | c << 16).to_le_bytes());
        words[8..].copy_from_slice(&(c >> 16 | d << 8).to_le_bytes());
    }
    for (bytes, pixel) in row[whole * 3..].chunks_exact_mut(3).zip(&pixels[whole..]) {
        bytes.copy_from_slice(&pixel.to_le_bytes()[..3]);
    }
}

/// Shifts a sample around zero to 0 to 255, clamps and rounds it.
#[inline(always)]
fn level_shift(sample: f32) -> u32 {
    round_to_i32((sample + 128.0).clamp(0.0, 255.0)).cast_unsigned()
}
