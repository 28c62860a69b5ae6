//! Rectangles in pixels.

use crate::Raster;

/// A rectangle in pixels of a picture, from its top left corner. Fractions are permitted: the last column of a picture of odd
/// width that was decoded at a reduced size covers less than a pixel, and rounding would shift the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Distance from the left edge of the picture.
    pub left: f64,
    /// Distance from the top edge of the picture.
    pub top: f64,
    /// Width; greater than 0 for a resize.
    pub width: f64,
    /// Height; greater than 0 for a resize.
    pub height: f64,
}

impl Region {
    /// The whole picture.
    pub fn whole<T>(raster: &Raster<T>) -> Self {
        Self { left: 0.0, top: 0.0, width: raster.width.into(), height: raster.height.into() }
    }

    /// Scales the region by the factors `by`, horizontal and vertical; clamps it to at least one pixel and to `extent`, the
    /// width and height of the scaled picture. A resize refuses regions outside of the picture, which rounding could cause.
    #[must_use]
    pub fn scaled(self, by: (f64, f64), extent: (f64, f64)) -> Self {
        let clamp = |start: f64, length: f64, end: f64| {
            let length = length.max(1.0).min(end);
            (start.clamp(0.0, end - length), length)
        };
        let (left, width) = clamp(self.left * by.0, self.width * by.0, extent.0);
        let (top, height) = clamp(self.top * by.1, self.height * by.1, extent.1);
        // The sum of start and length may still be rounded up.
        let within = |start: f64, length: f64, end: f64| if start + length > end { end - start } else { length };
        Self { left, top, width: within(left, width, extent.0), height: within(top, height, extent.1) }
    }
}
