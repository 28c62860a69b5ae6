//! A background behind the picture, and a canvas around it.

use darkroom_raster::{Channels, Raster};

/// The background and canvas of a recipe; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extend {
    pub(crate) canvas: Option<Canvas>,
    /// Red, green and blue in the rendition's gamut. `None`: the canvas is transparent.
    pub(crate) background: Option<[u8; 3]>,
}

/// An area at least as large as the picture, in which it is placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Canvas {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// Where the picture lies, horizontally and vertically: 0 at the left or top, 1 at the right or bottom.
    pub(crate) anchor: (f64, f64),
}

impl Extend {
    /// The size of the rendition of a picture of this size.
    pub(crate) fn size(&self, picture: (u32, u32)) -> (u32, u32) {
        self.canvas.map_or(picture, |canvas| (canvas.width, canvas.height))
    }

    /// Composites coded values with straight alpha on the background.
    pub(crate) fn fill_background(&self, picture: Raster<u8>) -> Raster<u8> {
        match self.background {
            Some(colour) => picture.flatten(colour),
            None => picture,
        }
    }

    /// Places the picture on its canvas.
    pub(crate) fn extend(&self, picture: Raster<u8>) -> Raster<u8> {
        match self.canvas {
            Some(canvas) if (canvas.width, canvas.height) != (picture.width, picture.height) => {
                canvas.around(&picture, self.background)
            }
            _ => picture,
        }
    }
}

impl Canvas {
    fn around(self, picture: &Raster<u8>, background: Option<[u8; 3]>) -> Raster<u8> {
        let gray = picture.channels.without_alpha() == Channels::Gray;
        let (channels, pixel): (_, &[u8]) = match &background {
            None if gray => (Channels::GrayAlpha, &[0; 2]),
            None => (Channels::Rgba, &[0; 4]),
            Some(colour) if gray && colour.iter().all(|value| *value == colour[0]) => (Channels::Gray, &colour[..1]),
            Some(colour) => (Channels::Rgb, colour),
        };
        let picture = picture.to_channels(channels);
        let samples = pixel.repeat(self.width as usize * self.height as usize);
        let mut extended = Raster { width: self.width, height: self.height, channels, samples };
        let left = offset(self.width, picture.width, self.anchor.0) as usize * channels.count();
        let top = offset(self.height, picture.height, self.anchor.1) as usize;
        let (row_length, length) = (extended.row_length(), picture.row_length());
        let rows = extended.samples.chunks_exact_mut(row_length).skip(top);
        for (row, own) in rows.zip(picture.samples.chunks_exact(length)) {
            row[left..][..length].copy_from_slice(own);
        }
        extended
    }
}

/// Offset of `inner` within `outer`, in pixels; anchor 0 = start, 1 = end.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to `outer`")]
pub(crate) fn offset(outer: u32, inner: u32, anchor: f64) -> u32 {
    (f64::from(outer.saturating_sub(inner)) * anchor) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(channels: Channels, samples: Vec<u8>, anchor: (f64, f64), background: Option<[u8; 3]>) -> Raster<u8> {
        let canvas = Some(Canvas { width: 3, height: 1, anchor });
        let extend = Extend { canvas, background };
        extend.extend(extend.fill_background(Raster { width: 1, height: 1, channels, samples }))
    }

    #[test]
    fn the_picture_lies_at_its_anchor_on_a_transparent_or_coloured_canvas() {
        let found = extended(Channels::Gray, vec![9], (0.5, 0.5), None);
        assert_eq!((found.channels, found.samples), (Channels::GrayAlpha, vec![0, 0, 9, 255, 0, 0]));
        let found = extended(Channels::Gray, vec![9], (1.0, 0.0), Some([7; 3]));
        assert_eq!((found.channels, found.samples), (Channels::Gray, vec![7, 7, 9]));
        let found = extended(Channels::Gray, vec![9], (0.0, 0.0), Some([1, 2, 3]));
        assert_eq!((found.channels, found.samples), (Channels::Rgb, vec![9, 9, 9, 1, 2, 3, 1, 2, 3]));
    }

    #[test]
    fn transparent_pixels_show_the_background() {
        let found = extended(Channels::Rgba, vec![200, 100, 0, 0], (0.5, 0.5), Some([1, 2, 3]));
        assert_eq!((found.channels, found.samples), (Channels::Rgb, [1, 2, 3].repeat(3)));
        let half = extended(Channels::GrayAlpha, vec![255, 51], (0.0, 0.0), Some([0, 0, 100]));
        assert_eq!(half.samples[..3], [51, 51, 131]);
    }
}
