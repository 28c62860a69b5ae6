//! Parts of pictures.

use crate::Raster;

/// The part of a picture that becomes the new one, in pixels of the source. Fractions count: after a scaled decode of
/// an odd size the last column is only partly filled, and taking it as whole shifts everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Region {
    pub fn whole<T>(raster: &Raster<T>) -> Self {
        Self { left: 0.0, top: 0.0, width: raster.width.into(), height: raster.height.into() }
    }

    /// The same part of a picture that is so many times as large. It has a pixel at least, and what rounding puts beyond
    /// `extent`, the sides of that picture, is left out: a resize refuses it.
    pub fn scaled(self, by: (f64, f64), extent: (f64, f64)) -> Self {
        let side = |start: f64, length: f64, end: f64| {
            let length = length.max(1.0).min(end);
            (start.clamp(0.0, end - length), length)
        };
        let (left, width) = side(self.left * by.0, self.width * by.0, extent.0);
        let (top, height) = side(self.top * by.1, self.height * by.1, extent.1);
        // A sum may still be rounded up.
        let within = |start: f64, length: f64, end: f64| if start + length > end { end - start } else { length };
        Self { left, top, width: within(left, width, extent.0), height: within(top, height, extent.1) }
    }
}
