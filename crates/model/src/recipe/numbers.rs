//! Recipe fields that take a number within bounds.

use std::{
    num::{NonZeroU32, NonZeroU64},
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

use super::value::{FormValue, ValueSchema};
use crate::UnknownValue;

/// The largest width or height that can be requested, in pixels.
pub const MAX_DIMENSION: u32 = 16_384;

/// The largest `max_bytes` that can be requested: more than any rendition has.
const MAX_MAX_BYTES: u64 = 1_000_000_000;

/// The form's `width` and `height`: pixels from 1 to [`MAX_DIMENSION`].
pub(crate) enum Dimension {}

impl FormValue for Dimension {
    type Value = NonZeroU32;

    fn schema() -> ValueSchema {
        ValueSchema::Integer { min: 1, max: MAX_DIMENSION.into(), bits: 32 }
    }

    fn parse(text: &str) -> Option<NonZeroU32> {
        text.parse().ok().filter(|side: &NonZeroU32| side.get() <= MAX_DIMENSION)
    }
}

/// The form's `max_bytes`.
pub(crate) enum MaxBytes {}

impl FormValue for MaxBytes {
    type Value = NonZeroU64;

    fn schema() -> ValueSchema {
        ValueSchema::Integer { min: 1, max: MAX_MAX_BYTES, bits: 64 }
    }

    fn parse(text: &str) -> Option<NonZeroU64> {
        text.parse().ok().filter(|bytes: &NonZeroU64| bytes.get() <= MAX_MAX_BYTES)
    }
}

/// An encoder's quality from 1 (smallest file) to 100 (best image).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Quality(u8);

impl Quality {
    /// The quality where none is requested.
    pub const DEFAULT: Self = Self(80);
    /// The smallest file.
    pub const MIN: Self = Self(1);
    /// The best image.
    pub const MAX: Self = Self(100);

    /// `None` outside 1 to 100.
    pub const fn new(value: u8) -> Option<Self> {
        if Self::MIN.0 <= value && value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The value, 1 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self::DEFAULT
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

impl FormValue for Quality {
    type Value = Self;

    fn schema() -> ValueSchema {
        ValueSchema::Integer { min: Self::MIN.0.into(), max: Self::MAX.0.into(), bits: 32 }
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::new)
    }
}

/// Defines a decimal number with a lower and an upper bound: its constructor checks them, and serde uses it.
macro_rules! bounded_number {
    ($(#[$doc:meta])* $name:ident, $what:literal, $range:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f32", into = "f32")]
        pub struct $name(f32);

        impl $name {
            /// The values within the bounds.
            pub const RANGE: RangeInclusive<f32> = $range;

            /// `None` outside [`Self::RANGE`], and for NaN.
            pub const fn new(value: f32) -> Option<Self> {
                if *Self::RANGE.start() <= value && value <= *Self::RANGE.end() { Some(Self(value)) } else { None }
            }

            /// The value.
            pub const fn get(self) -> f32 {
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

        impl FormValue for $name {
            type Value = Self;

            fn schema() -> ValueSchema {
                ValueSchema::Number { min: *Self::RANGE.start(), max: *Self::RANGE.end() }
            }

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok().and_then(Self::new)
            }
        }
    };
}

bounded_number! {
    /// The standard deviation of a Gaussian blur, in pixels of the rendition.
    Blur, "blur", 0.3..=100.0
}

bounded_number! {
    /// The amount of an unsharp mask with a radius of one pixel: 0.5 is gentle, 1 clearly visible.
    Sharpen, "sharpen", 0.1..=5.0
}

bounded_number! {
    /// A SSIMULACRA2 score, the perceived similarity of a file to its source: 50 is medium quality, 70 high, and from 90
    /// on the difference is invisible. The scale is its authors': <https://github.com/cloudinary/ssimulacra2>.
    Ssim, "ssim", 0.0..=100.0
}

bounded_number! {
    /// The sides of an overlay's box, as a fraction of the rendition's sides.
    Scale, "scale", 0.01..=1.0
}

bounded_number! {
    /// The opacity of an overlay: 0 is invisible, 1 opaque.
    Opacity, "opacity", 0.0..=1.0
}

bounded_number! {
    /// The free space around an overlay, as a fraction of the rendition's shorter side.
    Margin, "margin", 0.0..=0.25
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        assert!(Blur::new(0.2).is_none() && Blur::new(f32::NAN).is_none() && Blur::new(100.0).is_some());
        assert!(serde_json::from_str::<Sharpen>("5.5").is_err());
    }
}
