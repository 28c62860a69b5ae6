//! From luminance and colour differences to pixels (JFIF 1.02, "Conversion to and from RGB").
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use super::inverse::{SAMPLES, WIDTH};
use darkroom_raster::simd::round_to_i32;

/// A row of gray pixels. Samples are around zero.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // it is a byte
pub(super) fn grays(luminance: &[f32], row: &mut [u8]) {
    for (pixel, luminance) in row.iter_mut().zip(luminance) {
        *pixel = byte(*luminance) as u8;
    }
}

/// A row of pixels in colours.
#[inline(always)]
pub(super) fn colours(luminance: &[f32; WIDTH], blue: &[f32; WIDTH], red: &[f32; WIDTH], row: &mut [u8]) {
    let mut pixels = [0_u32; SAMPLES];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (y, cb, cr) = (luminance[i], blue[i], red[i]);
        let r = byte(1.402_f32.mul_add(cr, y));
        let g = byte((-0.714_136_f32).mul_add(cr, (-0.344_136_f32).mul_add(cb, y)));
        let b = byte(1.772_f32.mul_add(cb, y));
        *pixel = r | g << 8 | b << 16;
    }
    // Four pixels are three words.
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

/// A sample around zero to the nearest of 8 bits.
#[inline(always)]
fn byte(sample: f32) -> u32 {
    round_to_i32((sample + 128.0).clamp(0.0, 255.0)).cast_unsigned()
}
