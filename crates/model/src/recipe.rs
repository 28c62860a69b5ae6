//! What to render of an image, as types. Stored with the image as JSON: what a row of an older version does not say has
//! its default here, so that every row keeps its meaning.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
    ops::RangeInclusive,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{ImageId, RenditionFormat, UnknownValue, string_enum};

/// The largest width or height that can be asked for, in pixels.
pub const MAX_DIMENSION: u32 = 16_384;

string_enum! {
    /// How a picture is brought to a requested width and height.
    Fit, "fit" {
        /// The whole picture, inside the box; the aspect ratio is kept.
        Inside = "inside",
        /// The box is filled; what sticks out is cut off, as [`Position`] says.
        Cover = "cover",
        /// The whole picture, inside the box, and the rest of the box filled up around it.
        Contain = "contain",
        /// Exactly the box; the aspect ratio is not kept.
        Fill = "fill",
    }
}

string_enum! {
    /// Which part of a picture stays with [`Fit::Cover`], and where it lies with [`Fit::Contain`].
    #[derive(Default)]
    Position, "position" {
        /// The middle.
        #[default]
        Centre = "centre",
        /// The middle of the upper edge.
        Top = "top",
        /// The middle of the lower edge.
        Bottom = "bottom",
        /// The middle of the left edge.
        Left = "left",
        /// The middle of the right edge.
        Right = "right",
        /// The upper left corner.
        TopLeft = "top-left",
        /// The upper right corner.
        TopRight = "top-right",
        /// The lower left corner.
        BottomLeft = "bottom-left",
        /// The lower right corner.
        BottomRight = "bottom-right",
        /// Where the eye is drawn to: edges, strong colours and skin. Only with [`Fit::Cover`].
        Attention = "attention",
    }
}

impl Position {
    /// Which part of the spare room lies left of the picture and above it, 0 to 1. That of the centre for
    /// [`Position::Attention`], which only the picture can tell.
    #[must_use]
    pub const fn shares(self) -> (f64, f64) {
        let x = match self {
            Self::Left | Self::TopLeft | Self::BottomLeft => 0.0,
            Self::Right | Self::TopRight | Self::BottomRight => 1.0,
            Self::Centre | Self::Top | Self::Bottom | Self::Attention => 0.5,
        };
        let y = match self {
            Self::Top | Self::TopLeft | Self::TopRight => 0.0,
            Self::Bottom | Self::BottomLeft | Self::BottomRight => 1.0,
            Self::Centre | Self::Left | Self::Right | Self::Attention => 0.5,
        };
        (x, y)
    }
}

string_enum! {
    /// The colours a rendition may have.
    #[derive(Default)]
    Gamut, "gamut" {
        /// Those of sRGB, which every reader assumes.
        #[default]
        Srgb = "srgb",
        /// Those of Display P3, where the source is not in sRGB: a file that says so.
        P3 = "p3",
    }
}

string_enum! {
    /// What a rendition keeps of its source's metadata, as EXIF.
    #[derive(Default)]
    Keep, "what is kept" {
        /// Nothing.
        #[default]
        Nothing = "nothing",
        /// Who made it, and who has the rights.
        Copyright = "copyright",
        /// Besides, when and how it was taken, and what it shows: all but what says where it was, and whose camera.
        Public = "public",
    }
}

string_enum! {
    /// A turn clockwise, in degrees, beyond what the picture's orientation says.
    Rotation, "rotation" {
        /// The top becomes the right side.
        Quarter = "90",
        /// Upside down.
        Half = "180",
        /// The top becomes the left side.
        ThreeQuarters = "270",
    }
}

string_enum! {
    /// What counts more while a picture is encoded: time, or bytes.
    #[derive(Default)]
    Effort, "effort" {
        /// As fast as can be; a little larger, and a little less faithful.
        Speed = "speed",
        /// What pays.
        #[default]
        Balanced = "balanced",
        /// As small as can be at that quality, however long it takes.
        Best = "best",
    }
}

impl Rotation {
    /// How many quarter turns clockwise, 1 to 3.
    #[must_use]
    pub const fn quarter_turns(self) -> u8 {
        match self {
            Self::Quarter => 1,
            Self::Half => 2,
            Self::ThreeQuarters => 3,
        }
    }
}

/// An encoder's quality from 1 (smallest file) to 100 (best picture).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Quality(u8);

impl Quality {
    /// What is used where nothing is asked for.
    pub const DEFAULT: Self = Self(80);
    /// The smallest file.
    pub const MIN: Self = Self(1);
    /// The best picture.
    pub const MAX: Self = Self(100);

    /// `None` outside of 1 to 100.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            1..=100 => Some(Self(value)),
            _ => None,
        }
    }

    /// The value, 1 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Quality {
    type Error = UnknownValue;

    fn try_from(value: u8) -> Result<Self, UnknownValue> {
        Self::new(value).ok_or_else(|| UnknownValue { what: "quality", got: value.to_string() })
    }
}

impl From<Quality> for u8 {
    fn from(quality: Quality) -> Self {
        quality.0
    }
}

/// A number between two bounds.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident($number:ty), $what:literal, $range:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f32", into = "f32")]
        pub struct $name($number);

        impl $name {
            /// The values there are.
            pub const RANGE: RangeInclusive<$number> = $range;

            /// `None` outside of [`Self::RANGE`].
            #[must_use]
            pub fn new(value: $number) -> Option<Self> {
                Self::RANGE.contains(&value).then_some(Self(value))
            }

            /// The value.
            #[must_use]
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl TryFrom<f32> for $name {
            type Error = UnknownValue;

            fn try_from(value: f32) -> Result<Self, UnknownValue> {
                Self::new(value).ok_or_else(|| UnknownValue { what: $what, got: value.to_string() })
            }
        }

        impl From<$name> for f32 {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

bounded! {
    /// The standard deviation of a Gaussian blur, in pixels of the rendition.
    Blur(f32), "blur", 0.3..=100.0
}

bounded! {
    /// How much of what a blur of one pixel would take away is added instead: 1 is well visible.
    Sharpen(f32), "sharpen", 0.1..=5.0
}

bounded! {
    /// How much a file looks like what it was made of, as SSIMULACRA2 scores it: 50 is a medium quality, 70 a high one, and
    /// at 90 nobody sees a difference. Its authors' table: <https://github.com/cloudinary/ssimulacra2>.
    Ssim(f32), "ssim", 0.0..=100.0
}

bounded! {
    /// The sides of an overlay's box, as a part of those of the rendition.
    Scale(f32), "scale", 0.01..=1.0
}

bounded! {
    /// How much of an overlay is seen: at 0 nothing, at 1 all.
    Opacity(f32), "opacity", 0.0..=1.0
}

bounded! {
    /// What stays free around an overlay, as a part of the rendition's shorter side.
    Margin(f32), "margin", 0.0..=0.25
}

/// An opaque sRGB colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl FromStr for Colour {
    type Err = UnknownValue;

    /// `#rrggbb` or `#rgb` as in CSS; the `#`, which URLs and shells do not like, may be left out.
    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match (digits.len(), value) {
            (6, Some(value)) => Ok(Self([16, 8, 0].map(|shift| (value >> shift & 0xFF) as u8))),
            (3, Some(value)) => Ok(Self([8, 4, 0].map(|shift| (value >> shift & 0xF) as u8 * 0x11))),
            _ => Err(UnknownValue { what: "colour", got: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Colour {
    type Error = UnknownValue;

    fn try_from(text: String) -> Result<Self, UnknownValue> {
        text.parse()
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

/// A part of the upright source, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crop {
    /// From the left edge.
    pub x: u32,
    /// From the upper edge.
    pub y: u32,
    /// Columns.
    pub width: NonZeroU32,
    /// Rows.
    pub height: NonZeroU32,
}

/// Another image's picture, laid on a rendition: a watermark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// Whose picture.
    pub image: ImageId,
    /// Where it lies.
    pub position: Position,
    /// The box that it is fitted into; it is never enlarged.
    pub scale: Scale,
    /// How much of it is seen.
    pub opacity: Opacity,
    /// What stays free around it.
    pub margin: Margin,
}

impl Overlay {
    /// A quarter as wide and high as the rendition at most, near its lower right corner.
    #[must_use]
    pub const fn of(image: ImageId) -> Self {
        Self { image, position: Position::BottomRight, scale: Scale(0.25), opacity: Opacity(1.0), margin: Margin(0.02) }
    }
}

/// What to render of an image. Stored with it, so an image means the same after an upgrade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "recipe", rename_all = "snake_case")]
pub enum Recipe {
    /// The optimised original (at most [`Recipe::FULL_WIDTH`] wide) and the [`Recipe::WIDTHS`] below its width, each
    /// in WebP and in JPEG, or in PNG in JPEG's place where the source is transparent or a flat graphic.
    Standard,
    /// Exactly one rendition, named `resized`.
    Resize(Resize),
}

impl Recipe {
    /// The greatest width of the rendition `full`, in pixels.
    pub const FULL_WIDTH: u32 = 2560;
    /// The widths of the smaller renditions, in pixels, largest first.
    pub const WIDTHS: [u32; 3] = [1600, 800, 320];
    /// The quality of the standard set's WebP, which nearly everyone sees: as good as other programs' WebP of 80. The JPEG or
    /// PNG beside it has [`Quality::DEFAULT`], which looks better still.
    pub const WEBP_QUALITY: Quality = Quality(83);
    /// No rendition that is larger than its source has more pixels, all frames together: a larger wish is met in shape,
    /// not in size.
    pub const MAX_ENLARGED: u64 = 32_000_000;

    /// Whether a rendition is to be compared with what it was made of.
    #[must_use]
    pub const fn is_scored(&self) -> bool {
        matches!(self, Self::Resize(Resize { ssim: Some(_), .. }))
    }

    /// The highest quality that anything is encoded with.
    #[must_use]
    pub const fn highest_quality(&self) -> Quality {
        match self {
            Self::Standard => Self::WEBP_QUALITY,
            Self::Resize(_) if self.is_scored() => Quality::MAX,
            Self::Resize(resize) => resize.quality,
        }
    }

    /// What the one rendition is encoded as, where that was asked for.
    #[must_use]
    pub const fn format(&self) -> Option<RenditionFormat> {
        match self {
            Self::Standard => None,
            Self::Resize(resize) => resize.format,
        }
    }

    /// What is laid on the rendition.
    #[must_use]
    pub const fn overlay(&self) -> Option<Overlay> {
        match self {
            Self::Standard => None,
            Self::Resize(resize) => resize.overlay,
        }
    }
}

/// One rendition as a client asks for it. Done in this order: turn upright, crop, rotate, flip and flop, resize,
/// grayscale, blur, sharpen, fill up the box, lay on the background, lay the overlay on, encode.
///
/// A missing side follows from the other and the aspect ratio; with neither, the size stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// Four wishes that have nothing to do with each other.
#[allow(clippy::struct_excessive_bools)]
pub struct Resize {
    /// Pixels, at most [`MAX_DIMENSION`].
    pub width: Option<NonZeroU32>,
    /// Pixels, at most [`MAX_DIMENSION`].
    pub height: Option<NonZeroU32>,
    /// How the picture is brought to that size.
    pub fit: Fit,
    /// What stays with [`Fit::Cover`], or where the picture lies with [`Fit::Contain`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub position: Position,
    /// Whether a picture smaller than what is asked for is enlarged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enlarge: bool,
    /// The part of the upright source that is used; what sticks out of it is left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub crop: Option<Crop>,
    /// Width and height are those after the turn.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rotate: Option<Rotation>,
    /// Whether top and bottom change places.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flip: bool,
    /// Whether left and right change places.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flop: bool,
    /// Whether only the luminance is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grayscale: bool,
    /// In linear light.
    #[serde(default, skip_serializing_if = "is_default")]
    pub blur: Option<Blur>,
    /// Of the lightness.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sharpen: Option<Sharpen>,
    /// What the picture is laid on. `None`: it stays transparent, or is laid on white where the format cannot be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub background: Option<Colour>,
    /// What is laid on the picture and its box.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlay: Option<Overlay>,
    /// What counts more: time, or bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub effort: Effort,
    /// Whether colours that sRGB does not have are kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gamut: Gamut,
    /// What is kept of the source's metadata, as EXIF.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep: Keep,
    /// `None`: the worker chooses what suits the picture.
    pub format: Option<RenditionFormat>,
    /// The encoder's quality; the highest that is tried, with the next.
    pub quality: Quality,
    /// The file has at most so many bytes, at the highest quality for which that is so.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_bytes: Option<NonZeroU64>,
    /// The file has at least this score, at the lowest quality for which that is so. [`Self::quality`] and
    /// [`Self::max_bytes`] then mean nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ssim: Option<Ssim>,
}

impl Default for Resize {
    /// The picture as it is.
    fn default() -> Self {
        Self {
            width: None,
            height: None,
            fit: Fit::Inside,
            position: Position::Centre,
            enlarge: false,
            crop: None,
            rotate: None,
            flip: false,
            flop: false,
            grayscale: false,
            blur: None,
            sharpen: None,
            background: None,
            overlay: None,
            effort: Effort::Balanced,
            gamut: Gamut::Srgb,
            keep: Keep::Nothing,
            format: None,
            quality: Quality::DEFAULT,
            max_bytes: None,
            ssim: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_first_version_still_reads() {
        let old = r#"{"recipe":"resize","width":3,"height":null,"fit":"cover","format":"webp","quality":70}"#;
        let recipe: Recipe = serde_json::from_str(old).unwrap();
        let meant = Resize {
            width: NonZeroU32::new(3),
            fit: Fit::Cover,
            format: Some(RenditionFormat::Webp),
            quality: Quality(70),
            ..Resize::default()
        };
        assert_eq!(recipe, Recipe::Resize(meant));
        assert_eq!(serde_json::to_string(&recipe).unwrap(), old, "and is written the same");
        assert_eq!(serde_json::from_str::<Recipe>(r#"{"recipe":"standard"}"#).unwrap(), Recipe::Standard);
    }

    #[test]
    fn a_full_recipe_comes_back_as_it_went() {
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
            quality: Quality(9),
            max_bytes: NonZeroU64::new(5),
            ssim: Ssim::new(70.5),
        };
        let json = serde_json::to_value(Recipe::Resize(resize.clone())).unwrap();
        assert_eq!(json["background"], "#01abff");
        assert_eq!(json["overlay"]["position"], "top");
        assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), Recipe::Resize(resize));
    }

    #[test]
    fn colours_are_written_as_in_css() {
        assert_eq!("#f80".parse(), Ok(Colour([255, 136, 0])));
        assert_eq!("01ABff".parse(), Ok(Colour([1, 171, 255])));
        for wrong in ["", "#", "12345", "#12345g", "+12345", "red", "ärg"] {
            assert!(wrong.parse::<Colour>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        assert!(Blur::new(0.2).is_none() && Blur::new(f32::NAN).is_none() && Blur::new(100.0).is_some());
        assert!(serde_json::from_str::<Sharpen>("5.5").is_err());
    }
}
