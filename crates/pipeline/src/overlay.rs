//! Another picture composited on the rendition: a watermark.
//!
//! Coded values are mixed, as browsers mix them. The overlay is prepared once per picture, however many frames and qualities
//! follow.

use darkroom_raster::{Channels, Raster, alpha_over};

use crate::plan::Placement;

/// A picture that is ready to be composited.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// Coded values with straight alpha, at their size on the rendition and with the overlay's opacity.
    picture: Raster<u8>,
    /// Pixels of the rendition left of it.
    left: u32,
    /// Pixels of the rendition above it.
    top: u32,
}

impl Overlay {
    /// From coded values with straight alpha, at most as large as the placement's `max_size`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 255")]
    pub(crate) fn new(picture: &Raster<u8>, placement: Placement) -> Self {
        let gray = picture.channels.without_alpha() == Channels::Gray;
        let mut picture = picture.to_channels(if gray { Channels::GrayAlpha } else { Channels::Rgba });
        for alpha in picture.samples.chunks_exact_mut(picture.channels.count()).filter_map(<[_]>::last_mut) {
            *alpha = (f32::from(*alpha) * placement.opacity).round() as u8;
        }
        let (left, top) = placement.corner((picture.width, picture.height));
        Self { picture, left, top }
    }

    /// The rendition with the overlay on it; both are coded values with straight alpha. Gray stays gray if both are.
    pub(crate) fn composite(&self, below: &Raster<u8>) -> Raster<u8> {
        let gray = [below.channels, self.picture.channels].iter().all(|c| c.without_alpha() == Channels::Gray);
        let (with_alpha, without) =
            if gray { (Channels::GrayAlpha, Channels::Gray) } else { (Channels::Rgba, Channels::Rgb) };
        let mut result = below.to_channels(if below.channels.has_alpha() { with_alpha } else { without });
        let above = self.picture.to_channels(with_alpha);
        let (count, has_alpha) = (result.channels.count(), result.channels.has_alpha());
        // The alpha of a rendition without an alpha channel; compositing on opaque pixels leaves it at 255.
        let mut opaque = u8::MAX;
        let row_length = result.row_length();
        let rows = result.samples.chunks_exact_mut(row_length).skip(self.top as usize);
        for (row, above) in rows.zip(above.samples.chunks_exact(above.row_length())) {
            let pixels = row.chunks_exact_mut(count).skip(self.left as usize);
            for (pixel, above) in pixels.zip(above.chunks_exact(with_alpha.count())) {
                match pixel {
                    [colours @ .., alpha] if has_alpha => alpha_over(colours, alpha, above),
                    colours => alpha_over(colours, &mut opaque, above),
                }
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// Composites one pixel at the right end of a row of three.
    fn composited(above: (Channels, &[u8]), opacity: f32, below: (Channels, &[u8])) -> (Channels, Vec<u8>) {
        let raster =
            |width, (channels, samples): (_, &[u8])| Raster { width, height: 1, channels, samples: samples.into() };
        let max_size = (NonZeroU32::MIN, NonZeroU32::MIN);
        let placement = Placement { max_size, margin: 0, free: (3, 1), anchor: (1.0, 0.0), opacity };
        let result = Overlay::new(&raster(1, above), placement).composite(&raster(3, below));
        (result.channels, result.samples)
    }

    #[test]
    fn coded_values_are_mixed_and_pixels_outside_stay() {
        let found = composited((Channels::Rgba, &[200, 100, 0, 255]), 0.5, (Channels::Rgb, &[9; 9]));
        assert_eq!(found, (Channels::Rgb, vec![9, 9, 9, 9, 9, 9, 105, 55, 4]));
        let clear = composited((Channels::Rgba, &[200, 100, 0, 255]), 0.0, (Channels::Rgb, &[9; 9]));
        assert_eq!(clear.1, [9; 9]);
    }

    #[test]
    fn gray_stays_gray_under_a_gray_overlay_and_becomes_rgb_under_a_coloured_one() {
        let gray = composited((Channels::GrayAlpha, &[200, 255]), 1.0, (Channels::Gray, &[9; 3]));
        assert_eq!(gray, (Channels::Gray, vec![9, 9, 200]));
        let coloured = composited((Channels::Rgba, &[1, 2, 3, 255]), 1.0, (Channels::Gray, &[9; 3]));
        assert_eq!(coloured, (Channels::Rgb, vec![9, 9, 9, 9, 9, 9, 1, 2, 3]));
    }

    #[test]
    fn on_transparent_pixels_the_result_has_the_overlays_alpha() {
        let found = composited((Channels::GrayAlpha, &[200, 255]), 0.4, (Channels::Rgba, &[0; 12]));
        assert_eq!(found, (Channels::Rgba, [[0; 8].as_slice(), &[200, 200, 200, 102]].concat()));
    }
}
