//! Another picture on top: a watermark.
//!
//! It is read as any source is, by the same steps and under the same limits, and is resized in linear light; then coded
//! values are mixed, as browsers mix them. That is done once, however many frames and qualities follow.

use std::num::NonZeroU32;

use darkroom_model::recipe::{Gamut, Recipe, Resize};

use darkroom_raster::{Channels, Raster, alpha_over, linear};

use crate::{Limits, RenderError, colour, extend::before, render::Job};

/// Where an overlay lies on a rendition, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    /// The sides of the box that it is fitted into.
    pub(crate) room: (NonZeroU32, NonZeroU32),
    /// The upper left corner of the part of the rendition in which it may lie, and that part's sides.
    pub(crate) corner: (u32, u32),
    pub(crate) sides: (u32, u32),
    /// Which part of what it leaves free there is left of it and above it, 0 to 1.
    pub(crate) shares: (f64, f64),
    /// 0 to 1.
    pub(crate) opacity: f32,
}

/// A picture that is ready to be laid on.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// Coded values with straight alpha.
    picture: Raster<u8>,
    left: u32,
    top: u32,
}

impl Overlay {
    /// Reads a file, of which the first frame is shown, and brings it to its size and into a gamut.
    pub(crate) fn open(file: &[u8], place: Placement, gamut: Gamut, limits: &Limits) -> Result<Self, RenderError> {
        let (width, height) = place.room;
        let fitted = Resize { width: Some(width), height: Some(height), gamut, ..Resize::default() };
        let job = Job::open(file, &Recipe::Resize(fitted), limits)?;
        let mut picture = job.first()?;
        if job.plan.gamut != gamut {
            picture = colour::from_srgb(picture, gamut);
        }
        let coded = linear::to_8(&picture);
        let gray = coded.channels.without_alpha() == Channels::Gray;
        let picture = coded.to_channels(if gray { Channels::GrayAlpha } else { Channels::Rgba });
        Ok(Self::placed(picture, place))
    }

    // A part of 255.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn placed(mut picture: Raster<u8>, place: Placement) -> Self {
        for alpha in picture.samples.chunks_exact_mut(picture.channels.count()).filter_map(<[_]>::last_mut) {
            *alpha = (f32::from(*alpha) * place.opacity).round() as u8;
        }
        let left = place.corner.0 + before(place.sides.0, picture.width, place.shares.0);
        let top = place.corner.1 + before(place.sides.1, picture.height, place.shares.1);
        Self { picture, left, top }
    }

    /// Lays it on a picture of coded values with straight alpha. A gray picture stays gray if both are.
    pub(crate) fn on(&self, below: &Raster<u8>) -> Raster<u8> {
        let gray = [below.channels, self.picture.channels].iter().all(|c| c.without_alpha() == Channels::Gray);
        let (with_alpha, without) =
            if gray { (Channels::GrayAlpha, Channels::Gray) } else { (Channels::Rgba, Channels::Rgb) };
        let mut mixed = below.to_channels(if below.channels.has_alpha() { with_alpha } else { without });
        let above = self.picture.to_channels(with_alpha);
        let (count, has_alpha) = (mixed.channels.count(), mixed.channels.has_alpha());
        // And stays so.
        let mut opaque = u8::MAX;
        let row_length = mixed.row_length();
        let rows = mixed.samples.chunks_exact_mut(row_length).skip(self.top as usize);
        for (row, above) in rows.zip(above.samples.chunks_exact(above.row_length())) {
            let pixels = row.chunks_exact_mut(count).skip(self.left as usize);
            for (pixel, above) in pixels.zip(above.chunks_exact(with_alpha.count())) {
                match pixel {
                    [colours @ .., ground] if has_alpha => alpha_over(colours, ground, above),
                    colours => alpha_over(colours, &mut opaque, above),
                }
            }
        }
        mixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pixel, at the right end of a row of three.
    fn laid(above: (Channels, &[u8]), opacity: f32, below: (Channels, &[u8])) -> (Channels, Vec<u8>) {
        let raster =
            |width, (channels, samples): (_, &[u8])| Raster { width, height: 1, channels, samples: samples.into() };
        let room = (NonZeroU32::MIN, NonZeroU32::MIN);
        let place = Placement { room, corner: (0, 0), sides: (3, 1), shares: (1.0, 0.0), opacity };
        let mixed = Overlay::placed(raster(1, above), place).on(&raster(3, below));
        (mixed.channels, mixed.samples)
    }

    #[test]
    fn it_is_mixed_as_browsers_mix_and_the_rest_stays() {
        let found = laid((Channels::Rgba, &[200, 100, 0, 255]), 0.5, (Channels::Rgb, &[9; 9]));
        assert_eq!(found, (Channels::Rgb, vec![9, 9, 9, 9, 9, 9, 105, 55, 4]));
        let clear = laid((Channels::Rgba, &[200, 100, 0, 255]), 0.0, (Channels::Rgb, &[9; 9]));
        assert_eq!(clear.1, [9; 9]);
    }

    #[test]
    fn gray_stays_gray_under_gray_and_becomes_coloured_under_a_colour() {
        let gray = laid((Channels::GrayAlpha, &[200, 255]), 1.0, (Channels::Gray, &[9; 3]));
        assert_eq!(gray, (Channels::Gray, vec![9, 9, 200]));
        let coloured = laid((Channels::Rgba, &[1, 2, 3, 255]), 1.0, (Channels::Gray, &[9; 3]));
        assert_eq!(coloured, (Channels::Rgb, vec![9, 9, 9, 9, 9, 9, 1, 2, 3]));
    }

    #[test]
    fn on_what_is_transparent_its_own_transparency_shows() {
        let found = laid((Channels::GrayAlpha, &[200, 255]), 0.4, (Channels::Rgba, &[0; 12]));
        assert_eq!(found, (Channels::Rgba, [[0; 8].as_slice(), &[200, 200, 200, 102]].concat()));
    }
}
