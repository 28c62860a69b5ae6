//! What to render of an image, as types. A recipe is stored with its image as JSON; a field that an older row lacks has
//! its default, so that every row keeps its meaning after an upgrade.
//!
//! A client's form becomes a [`RenditionRequest`], field by field, and [`RenditionRequest::validate`] makes that a
//! [`Recipe`]. [`FIELDS`] has the name, the description, an example and the values of every field.

mod choices;
mod colour;
mod crop;
mod fields;
mod numbers;
mod overlay;
mod request;
mod sizes;
mod table;
mod value;

use serde::{Deserialize, Serialize};

pub use self::{
    choices::{Effort, Fit, Gamut, Keep, Position, Rotation},
    colour::Colour,
    crop::Crop,
    fields::{FIELDS, Field, RenditionRequest, Resize},
    numbers::{Blur, MAX_DIMENSION, Margin, Opacity, Quality, Scale, Sharpen, Ssim},
    overlay::Overlay,
    request::InvalidField,
    sizes::{CropOutside, Formats, PlannedSize, scale},
    value::ValueSchema,
};
use crate::RenditionFormat;

/// What to render of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "recipe", rename_all = "snake_case")]
pub enum Recipe {
    /// The standard set: the optimised original, named `full` and at most [`Recipe::FULL_WIDTH`] wide, and those of the
    /// [`Recipe::WIDTHS`] that are smaller. Each in WebP and in JPEG; in PNG instead of JPEG if the source is transparent
    /// or a flat graphic.
    Standard,
    /// Exactly one rendition, named `resized`.
    Resize(Resize),
}

impl Recipe {
    /// The maximum width of the rendition `full`, in pixels.
    pub const FULL_WIDTH: u32 = 2560;
    /// The widths of the smaller renditions of the standard set, in pixels, in descending order.
    pub const WIDTHS: [u32; 3] = [1600, 800, 320];
    /// The quality of the standard set's WebP: it looks as good as other encoders' WebP of quality 80. The JPEG or PNG beside
    /// it has [`Quality::DEFAULT`].
    pub const WEBP_QUALITY: Quality = Quality::new(83).expect("within bounds");
    /// The maximum number of pixels of a rendition that is larger than its source, summed over its frames. A larger request
    /// is reduced to this size with its aspect ratio kept.
    pub const MAX_ENLARGED: u64 = 32_000_000;

    /// Whether the rendition is decoded again and compared with its source, which takes additional memory.
    pub const fn is_scored(&self) -> bool {
        matches!(self, Self::Resize(Resize { ssim: Some(_), .. }))
    }

    /// The highest quality that any rendition is encoded with.
    pub const fn highest_quality(&self) -> Quality {
        match self {
            Self::Standard => Self::WEBP_QUALITY,
            Self::Resize(_) if self.is_scored() => Quality::MAX,
            Self::Resize(resize) => resize.quality,
        }
    }

    /// The format of the only rendition, if one was requested.
    pub const fn format(&self) -> Option<RenditionFormat> {
        match self {
            Self::Standard => None,
            Self::Resize(resize) => resize.format,
        }
    }

    /// The overlay of the only rendition.
    pub const fn overlay(&self) -> Option<Overlay> {
        match self {
            Self::Standard => None,
            Self::Resize(resize) => resize.overlay,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;
    use crate::ImageId;

    #[test]
    fn a_row_of_the_first_version_is_still_read() {
        let old = r#"{"recipe":"resize","width":3,"height":null,"fit":"cover","format":"webp","quality":70}"#;
        let recipe: Recipe = serde_json::from_str(old).unwrap();
        let expected = Resize {
            width: NonZeroU32::new(3),
            fit: Fit::Cover,
            format: Some(RenditionFormat::Webp),
            quality: Quality::new(70).unwrap(),
            ..Resize::default()
        };
        assert_eq!(recipe, Recipe::Resize(expected));
        assert_eq!(serde_json::to_string(&recipe).unwrap(), old, "and is written the same");
        assert_eq!(serde_json::from_str::<Recipe>(r#"{"recipe":"standard"}"#).unwrap(), Recipe::Standard);
    }

    #[test]
    fn a_full_recipe_survives_a_round_trip_through_json() {
        let (one, two) = (NonZeroU32::MIN, NonZeroU32::new(2).unwrap());
        let resize = Resize {
            width: Some(two),
            height: Some(one),
            fit: Fit::Cover,
            position: Position::Attention,
            enlarge: true,
            crop: Some(Crop { x: 3, y: 4, width: one, height: two }),
            rotate: Some(Rotation::ThreeQuarters),
            flip: true,
            flop: true,
            grayscale: true,
            blur: Blur::new(0.7),
            sharpen: Sharpen::new(1.1),
            background: Some(Colour([1, 0xAB, 255])),
            overlay: Some(Overlay { position: Position::Top, ..Overlay::of(ImageId::now()) }),
            effort: Effort::Best,
            gamut: Gamut::P3,
            keep: Keep::Public,
            format: Some(RenditionFormat::Png),
            quality: Quality::new(9).unwrap(),
            max_bytes: NonZeroU64::new(5),
            ssim: Ssim::new(70.5),
        };
        let json = serde_json::to_value(Recipe::Resize(resize.clone())).unwrap();
        assert_eq!(json["background"], "#01abff");
        assert_eq!(json["overlay"]["position"], "top");
        assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), Recipe::Resize(resize));
    }
}
