//! Watermarks.

use serde::{Deserialize, Serialize};

use super::{
    choices::Position,
    numbers::{Margin, Opacity, Scale},
    value::{FormValue, ValueSchema},
};
use crate::ImageId;

/// Another image that is composited over a rendition: a watermark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// The other image.
    pub image: ImageId,
    /// Its place on the rendition. Never [`Position::Attention`].
    pub position: Position,
    /// The box that it is fitted into. It is never enlarged.
    pub scale: Scale,
    /// Its opacity.
    pub opacity: Opacity,
    /// The free space between it and the edges.
    pub margin: Margin,
}

impl Overlay {
    /// An opaque overlay near the bottom right corner, at most a quarter as wide and as high as the rendition.
    pub const fn of(image: ImageId) -> Self {
        const SCALE: Scale = Scale::new(0.25).expect("within bounds");
        const OPACITY: Opacity = Opacity::new(1.0).expect("within bounds");
        const MARGIN: Margin = Margin::new(0.02).expect("within bounds");
        Self { image, position: Position::BottomRight, scale: SCALE, opacity: OPACITY, margin: MARGIN }
    }
}

impl FormValue for ImageId {
    type Value = Self;

    fn schema() -> ValueSchema {
        ValueSchema::Text { format: Some("uuid"), pattern: None, description: "the id of an image" }
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
