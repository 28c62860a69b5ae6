//! Which renditions a recipe makes of a source, and how large they are. Arithmetic alone: it needs the size of the source and
//! none of its pixels.

use super::{Crop, Fit, Recipe, Resize};
use crate::RenditionFormat;

/// The formats in which one size is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formats {
    /// WebP and a fallback: JPEG, or PNG where the picture is transparent or a flat graphic.
    Pair,
    /// One format.
    One(RenditionFormat),
    /// Whichever makes the smallest file: WebP, JPEG or PNG.
    Smallest,
}

impl Formats {
    /// A list for each rendition: its format, or those from which its pixels choose.
    #[must_use]
    pub fn of_renditions(self) -> Vec<Vec<RenditionFormat>> {
        use RenditionFormat::{Jpeg, Png, Webp};
        match self {
            Self::Pair => vec![vec![Webp], vec![Jpeg, Png]],
            Self::One(format) => vec![vec![format]],
            Self::Smallest => vec![vec![Webp, Jpeg, Png]],
        }
    }
}

/// One size to make, in each of its formats. All sizes are width and height in pixels, at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSize {
    /// The rendition's name without its extension.
    pub name: String,
    /// The size of the picture.
    pub picture: (u32, u32),
    /// The size of the box of `fit=contain` around the picture.
    pub canvas: Option<(u32, u32)>,
    /// The formats.
    pub formats: Formats,
}

impl PlannedSize {
    /// The size of the renditions.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.canvas.unwrap_or(self.picture)
    }
}

/// The part of the source that a recipe uses lies outside of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The crop lies outside of the picture.")]
pub struct CropOutside;

impl Recipe {
    /// The sizes to make of a source of this size after orientation, in pixels, and this number of frames. At least one, the
    /// largest first.
    ///
    /// # Errors
    /// [`CropOutside`].
    pub fn sizes(&self, source: (u32, u32), frames: u32) -> Result<Vec<PlannedSize>, CropOutside> {
        match self {
            Self::Standard => {
                let full = standard("full".to_owned(), source, Self::FULL_WIDTH.min(source.0));
                let widths = Self::WIDTHS.into_iter().filter(|width| *width < full.picture.0);
                let smaller: Vec<_> = widths.map(|width| standard(format!("w{width}"), source, width)).collect();
                Ok(std::iter::once(full).chain(smaller).collect())
            }
            Self::Resize(resize) => Ok(vec![resize.planned(source, frames)?]),
        }
    }
}

impl Crop {
    /// The size of the part that lies inside a source of this size, in pixels.
    ///
    /// # Errors
    /// [`CropOutside`]: none does.
    pub fn size_within(self, source: (u32, u32)) -> Result<(u32, u32), CropOutside> {
        let side = |start: u32, length: u32, end: u32| match end.saturating_sub(start).min(length) {
            0 => Err(CropOutside),
            length => Ok(length),
        };
        Ok((side(self.x, self.width.get(), source.0)?, side(self.y, self.height.get(), source.1)?))
    }
}

impl Resize {
    fn planned(&self, upright: (u32, u32), frames: u32) -> Result<PlannedSize, CropOutside> {
        let (width, height) = self.crop.map_or(Ok(upright), |crop| crop.size_within(upright))?;
        let is_transposed = self.rotate.is_some_and(|rotation| rotation.quarter_turns() % 2 == 1);
        let source = if is_transposed { (height, width) } else { (width, height) };
        let pixels = u64::from(width) * u64::from(height);
        let max_side = max_side(self.format);
        let bounds = Bounds {
            source,
            enlarge: self.enlarge,
            max_pixels: pixels.max(Recipe::MAX_ENLARGED / u64::from(frames.max(1))),
            max_side,
        };
        let (width, height) = (self.width.map(u32::from), self.height.map(u32::from));
        let (picture, canvas) = match (self.fit, width, height) {
            (Fit::Cover | Fit::Fill, Some(width), Some(height)) => (bounds.exactly((width, height)), None),
            (Fit::Contain, Some(width), Some(height)) => {
                let canvas = bounds.within_max_pixels((width.min(max_side), height.min(max_side)));
                (bounds.inside(Some(canvas.0), Some(canvas.1)), Some(canvas))
            }
            (_, width, height) => (bounds.inside(width, height), None),
        };
        let formats = self.format.map_or(Formats::Smallest, Formats::One);
        Ok(PlannedSize { name: "resized".to_owned(), picture, canvas, formats })
    }
}

fn standard(name: String, source: (u32, u32), width: u32) -> PlannedSize {
    let bounds = Bounds { source, enlarge: false, max_pixels: u64::MAX, max_side: max_side(None) };
    PlannedSize { name, picture: bounds.inside(Some(width), None), canvas: None, formats: Formats::Pair }
}

/// The longest side of a rendition, in pixels. Where the format is chosen later, it may become WebP, which has the lowest limit.
fn max_side(format: Option<RenditionFormat>) -> u32 {
    format.unwrap_or(RenditionFormat::Webp).max_side()
}

/// How large a rendition may be.
struct Bounds {
    /// The size of the part of the source that is shown, in pixels.
    source: (u32, u32),
    enlarge: bool,
    /// The most pixels of a rendition.
    max_pixels: u64,
    /// The longest side of a rendition, in pixels.
    max_side: u32,
}

impl Bounds {
    /// The size of the source fitted into a box; `None` leaves a side of the box open.
    fn inside(&self, width: Option<u32>, height: Option<u32>) -> (u32, u32) {
        let most = if self.enlarge && (width.is_some() || height.is_some()) { f64::INFINITY } else { 1.0 };
        let width = width.unwrap_or(self.max_side).min(self.max_side);
        let height = height.unwrap_or(self.max_side).min(self.max_side);
        let source = self.source;
        let ratio = (f64::from(width) / f64::from(source.0)).min(f64::from(height) / f64::from(source.1)).min(most);
        self.within_max_pixels((scale(source.0, ratio).min(width), scale(source.1, ratio).min(height)))
    }

    /// A box with the requested aspect ratio and at most the requested size; no side is longer than the source's unless
    /// enlarging is allowed.
    fn exactly(&self, requested: (u32, u32)) -> (u32, u32) {
        let source = if self.enlarge { (self.max_side, self.max_side) } else { self.source };
        let limit = (source.0.min(self.max_side), source.1.min(self.max_side));
        let ratio =
            (f64::from(limit.0) / f64::from(requested.0)).min(f64::from(limit.1) / f64::from(requested.1)).min(1.0);
        self.within_max_pixels((scale(requested.0, ratio).min(limit.0), scale(requested.1, ratio).min(limit.1)))
    }

    /// The same aspect ratio with at most `max_pixels`.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 pixels")]
    fn within_max_pixels(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let pixels = u64::from(width) * u64::from(height);
        if pixels <= self.max_pixels {
            return (width, height);
        }
        let ratio = (self.max_pixels as f64 / pixels as f64).sqrt();
        (scale(width, ratio), scale(height, ratio))
    }
}

/// A length times a ratio, rounded to whole pixels, at least 1. The product is at most `u32::MAX`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to the length")]
#[must_use]
pub fn scale(length: u32, ratio: f64) -> u32 {
    ((f64::from(length) * ratio).round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Rotation;

    fn sizes(recipe: &Recipe, source: (u32, u32)) -> Vec<(String, (u32, u32))> {
        let sizes = recipe.sizes(source, 1).unwrap();
        sizes.into_iter().map(|planned| (planned.name.clone(), planned.size())).collect()
    }

    #[test]
    fn the_standard_set_is_full_and_the_widths_below_it_in_two_formats_each() {
        let expected = [("full", (2560, 1707)), ("w1600", (1600, 1067)), ("w800", (800, 533)), ("w320", (320, 213))];
        assert_eq!(sizes(&Recipe::Standard, (6000, 4000)), expected.map(|(name, size)| (name.to_owned(), size)));
        let formats = Recipe::Standard.sizes((1, 1), 1).unwrap()[0].formats.of_renditions();
        assert_eq!(formats.len(), 2);
    }

    #[test]
    fn the_size_of_a_rendition_is_that_of_its_box() {
        let side = |length: u32| length.try_into().ok();
        let contain = Resize { width: side(300), height: side(300), fit: Fit::Contain, ..Resize::default() };
        assert_eq!(sizes(&Recipe::Resize(contain), (2725, 2225)), [("resized".to_owned(), (300, 300))]);
        let rotate = Some(Rotation::Quarter);
        assert_eq!(sizes(&Recipe::Resize(Resize { rotate, ..Resize::default() }), (40, 30))[0].1, (30, 40));
    }

    #[test]
    fn a_crop_outside_of_the_source_has_no_size() {
        let side = |length: u32| length.try_into().unwrap();
        let crop = Crop { x: 400, y: 0, width: side(10), height: side(10) };
        let recipe = Recipe::Resize(Resize { crop: Some(crop), ..Resize::default() });
        assert_eq!(recipe.sizes((400, 200), 1), Err(CropOutside));
        assert_eq!(recipe.sizes((405, 200), 1).unwrap()[0].size(), (5, 10));
    }
}
