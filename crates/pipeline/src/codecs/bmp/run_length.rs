//! Run-length coding: `BI_RLE8`, `BI_RLE4`, and RLE24 of OS/2 2.x. Pixels that are skipped are transparent, as in browsers.

use darkroom_container::header::bmp::Layout;
use darkroom_raster::{Channels, Raster};

use super::{new_raster, row_in_raster, truncated};
use crate::RenderError;

pub(super) fn decode(layout: &Layout, palette: &[[u8; 3]], data: &[u8]) -> Result<Raster<u8>, RenderError> {
    let mut canvas = Canvas { layout, raster: new_raster(layout, Channels::Rgba), x: 0, y: 0 };
    let mut data = data;
    let bits = usize::from(layout.bits);
    while canvas.y < layout.height {
        // A file that only lacks its end is whole.
        let is_whole = canvas.y + 1 == layout.height && canvas.x >= layout.width;
        let Some(([first, second], rest)) = data.split_first_chunk::<2>() else {
            if is_whole {
                break;
            }
            return Err(truncated());
        };
        match (*first, *second) {
            (0, 0) => {
                (canvas.x, canvas.y) = (0, canvas.y + 1);
                data = rest;
            }
            (0, 1) => break,
            (0, 2) => {
                let ([right, down], rest) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
                canvas.x = canvas.x.saturating_add((*right).into());
                canvas.y = canvas.y.saturating_add((*down).into());
                data = rest;
            }
            // Pixels one by one, padded to two bytes.
            (0, count) => {
                let length = (usize::from(count) * bits).div_ceil(8);
                let (pixels, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
                (0..count.into()).for_each(|i| canvas.put(colour(pixels, i, bits, palette)));
                data = rest.get(length % 2..).unwrap_or_default();
            }
            // A run: of one pixel, or of two in turn where a pixel has four bits.
            (count, _) => {
                let length = bits.div_ceil(8);
                let (run, rest) = data[1..].split_at_checked(length).ok_or_else(truncated)?;
                let pixels_in_run = if bits == 4 { 2 } else { 1 };
                (0..usize::from(count)).for_each(|i| canvas.put(colour(run, i % pixels_in_run, bits, palette)));
                data = rest;
            }
        }
    }
    Ok(canvas.raster.drop_opaque_alpha())
}

/// Pixel `index` of some bytes.
fn colour(pixels: &[u8], index: usize, bits: usize, palette: &[[u8; 3]]) -> [u8; 3] {
    match bits {
        4 => palette[usize::from(pixels[index / 2] >> (4 - index % 2 * 4) & 0xF)],
        8 => palette[usize::from(pixels[index])],
        _ => [pixels[3 * index + 2], pixels[3 * index + 1], pixels[3 * index]],
    }
}

/// A raster that is filled from left to right, in the file's order of rows.
struct Canvas<'a> {
    layout: &'a Layout,
    raster: Raster<u8>,
    x: u32,
    y: u32,
}

impl Canvas<'_> {
    /// Sets the next pixel. What exceeds the row is left out.
    fn put(&mut self, [red, green, blue]: [u8; 3]) {
        if self.x < self.layout.width {
            let row = row_in_raster(self.layout, self.y) * self.raster.row_length();
            let start = row + 4 * self.x as usize;
            self.raster.samples[start..start + 4].copy_from_slice(&[red, green, blue, u8::MAX]);
        }
        self.x = self.x.saturating_add(1);
    }
}
