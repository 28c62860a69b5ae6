//! The part of an image that is used.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::value::{FormValue, ValueSchema};

/// A rectangle of the upright source, in its pixels. It may extend beyond the source; the part outside is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crop {
    /// Distance from the left edge.
    pub x: u32,
    /// Distance from the top edge.
    pub y: u32,
    /// Columns.
    pub width: NonZeroU32,
    /// Rows.
    pub height: NonZeroU32,
}

impl FormValue for Crop {
    type Value = Self;

    fn schema() -> ValueSchema {
        ValueSchema::Text {
            format: None,
            pattern: Some(r"^\d+,\d+,\d+,\d+$"),
            description: "x,y,width,height: four whole numbers, width and height at least 1",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(',').map(|number| number.trim().parse::<u32>().ok());
        let (x, y) = (numbers.next()??, numbers.next()??);
        let (width, height) = (NonZeroU32::new(numbers.next()??)?, NonZeroU32::new(numbers.next()??)?);
        numbers.next().is_none().then_some(Self { x, y, width, height })
    }
}
