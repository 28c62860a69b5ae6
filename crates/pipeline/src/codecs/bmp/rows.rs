//! Rows of pixels without compression.

use darkroom_container::header::bmp::Layout;
use darkroom_raster::{Channels, Raster};

use super::{new_raster, row_in_raster, truncated};
use crate::RenderError;

pub(super) fn decode(layout: &Layout, palette: &[[u8; 3]], data: &[u8]) -> Result<Raster<u8>, RenderError> {
    let has_alpha = layout.bits > 8 && layout.masks[3] != 0;
    let mut raster = new_raster(layout, if has_alpha { Channels::Rgba } else { Channels::Rgb });
    let (count, row_length) = (raster.channels.count(), raster.row_length());
    let used = (u64::from(layout.width) * u64::from(layout.bits)).div_ceil(8);
    let used = usize::try_from(used).map_err(|_| truncated())?;
    let masks = layout.masks.map(Mask::new);
    for y in 0..layout.height {
        // The last row may lack its padding.
        let start = y as usize * used.next_multiple_of(4);
        let row = data.get(start..start + used).ok_or_else(truncated)?;
        let target = row_in_raster(layout, y) * row_length;
        let pixels = raster.samples[target..target + row_length].chunks_exact_mut(count);
        match layout.bits {
            24 => pixels.zip(row.chunks_exact(3)).for_each(|(pixel, bgr)| {
                pixel.copy_from_slice(&[bgr[2], bgr[1], bgr[0]]);
            }),
            16 | 32 => {
                for (pixel, bytes) in pixels.zip(row.chunks_exact(usize::from(layout.bits) / 8)) {
                    let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                    pixel.iter_mut().zip(&masks).for_each(|(sample, mask)| *sample = mask.sample(value));
                }
            }
            bits => {
                let bits = usize::from(bits);
                for (x, pixel) in pixels.enumerate() {
                    let index = row[x * bits / 8] >> (8 - bits - x * bits % 8) & (0xFF >> (8 - bits));
                    pixel.copy_from_slice(&palette[usize::from(index)]);
                }
            }
        }
    }
    // Many writers leave alpha at 0 in opaque pictures.
    if has_alpha && raster.pixels().all(|pixel| pixel[3] == 0) {
        raster.samples.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = u8::MAX);
    }
    Ok(raster)
}

/// The bits of a channel in a pixel.
struct Mask {
    bits: u32,
    shift: u32,
    max: u64,
}

impl Mask {
    fn new(bits: u32) -> Self {
        let shift = bits.trailing_zeros() % 32;
        Self { bits, shift, max: u64::from(bits >> shift) }
    }

    /// The channel in 8 bits; 0 where it has no bits.
    fn sample(&self, pixel: u32) -> u8 {
        if self.max == 0 {
            return 0;
        }
        let value = u64::from((pixel & self.bits) >> self.shift);
        u8::try_from((value * 255 + self.max / 2) / self.max).unwrap_or(u8::MAX)
    }
}
