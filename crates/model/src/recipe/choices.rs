//! Recipe fields that take one of several strings.

use super::value::{FormValue, ValueSchema};
use crate::{RenditionFormat, string_enum};

/// Defines a [`string_enum!`] that is also the type of a form field.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($variants:tt)+ }) => {
        string_enum! {
            $(#[$doc])*
            $name, $what { $($variants)+ }
        }

        impl FormValue for $name {
            type Value = Self;

            fn schema() -> ValueSchema {
                ValueSchema::OneOf(Self::ALL.iter().map(|value| value.as_str()).collect())
            }

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    };
}

choice! {
    /// How an image is fitted into the requested width and height (the box).
    #[derive(Default)]
    Fit, "fit" {
        /// The whole image inside the box; the aspect ratio is kept.
        #[default]
        Inside = "inside",
        /// The box is filled; the overflow is cropped as [`Position`] says.
        Cover = "cover",
        /// The whole image inside the box; the rest of the box is filled with the background.
        Contain = "contain",
        /// Exactly the box; the aspect ratio is not kept.
        Fill = "fill",
    }
}

choice! {
    /// The part of an image that [`Fit::Cover`] keeps, or the place of the image in the box of [`Fit::Contain`].
    #[derive(Default)]
    Position, "position" {
        /// The centre.
        #[default]
        Centre = "centre",
        /// The middle of the top edge.
        Top = "top",
        /// The middle of the bottom edge.
        Bottom = "bottom",
        /// The middle of the left edge.
        Left = "left",
        /// The middle of the right edge.
        Right = "right",
        /// The top left corner.
        TopLeft = "top-left",
        /// The top right corner.
        TopRight = "top-right",
        /// The bottom left corner.
        BottomLeft = "bottom-left",
        /// The bottom right corner.
        BottomRight = "bottom-right",
        /// The most salient part, by edges, saturation and skin colour. Only with [`Fit::Cover`].
        Attention = "attention",
    }
}

impl Position {
    /// The shares of the free space that lie left of the content and above it, each from 0 to 1.
    /// [`Position::Attention`] has the centre's, because it depends on the image's content.
    pub const fn anchor(self) -> (f64, f64) {
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

choice! {
    /// The colour gamut of a rendition.
    #[derive(Default)]
    Gamut, "gamut" {
        /// sRGB, which every reader assumes.
        #[default]
        Srgb = "srgb",
        /// Display P3 where the source is not in sRGB; the file is labelled as such.
        P3 = "p3",
    }
}

choice! {
    /// The part of the source's metadata that a rendition keeps, as EXIF.
    #[derive(Default)]
    Keep, "metadata to keep" {
        /// No metadata.
        #[default]
        Nothing = "nothing",
        /// Artist and copyright.
        Copyright = "copyright",
        /// Also title, time, camera, lens, software and exposure; never locations, serial numbers or owners' names.
        Public = "public",
    }
}

choice! {
    /// A clockwise rotation in degrees, after the orientation in the file's metadata has been applied.
    Rotation, "rotation" {
        /// The top becomes the right side.
        Quarter = "90",
        /// Upside down.
        Half = "180",
        /// The top becomes the left side.
        ThreeQuarters = "270",
    }
}

impl Rotation {
    /// The number of clockwise quarter turns, 1 to 3.
    pub const fn quarter_turns(self) -> u8 {
        match self {
            Self::Quarter => 1,
            Self::Half => 2,
            Self::ThreeQuarters => 3,
        }
    }
}

choice! {
    /// The trade-off between encoding time and file size.
    #[derive(Default)]
    Effort, "effort" {
        /// Fastest; slightly larger files with slightly lower quality.
        Speed = "speed",
        /// A balance of time and size.
        #[default]
        Balanced = "balanced",
        /// Smallest files at the same quality, however long it takes.
        Best = "best",
    }
}

/// The form's `overlay_position`: a [`Position`] other than [`Position::Attention`], which depends on the content of the
/// image below.
pub(crate) enum OverlayPosition {}

impl FormValue for OverlayPosition {
    type Value = Position;

    fn schema() -> ValueSchema {
        let allowed = Position::ALL.iter().filter(|position| **position != Position::Attention);
        ValueSchema::OneOf(allowed.map(|position| position.as_str()).collect())
    }

    fn parse(text: &str) -> Option<Position> {
        text.parse().ok().filter(|position| *position != Position::Attention)
    }
}

/// The form's `format`: a [`RenditionFormat`], or `auto` (`None`), which leaves the choice to the worker.
pub(crate) enum FormatOrAuto {}

/// The value of `format` that leaves the choice to the worker.
const AUTO: &str = "auto";

impl FormValue for FormatOrAuto {
    type Value = Option<RenditionFormat>;

    fn schema() -> ValueSchema {
        ValueSchema::OneOf(RenditionFormat::ALL.iter().map(|format| format.as_str()).chain([AUTO]).collect())
    }

    fn parse(text: &str) -> Option<Option<RenditionFormat>> {
        if text == AUTO { Some(None) } else { text.parse().ok().map(Some) }
    }
}
