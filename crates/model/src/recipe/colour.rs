//! Colours as in CSS.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::value::{FormValue, ValueSchema};
use crate::UnknownValue;

/// An opaque sRGB colour: red, green, blue. In JSON a string, `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl FromStr for Colour {
    type Err = UnknownValue;

    /// Parses `#rrggbb` or `#rgb` as in CSS. The `#` is optional, because URLs and shells would need it quoted.
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

impl FormValue for Colour {
    type Value = Self;

    fn schema() -> ValueSchema {
        ValueSchema::Text {
            format: None,
            pattern: Some("^#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$"),
            description: "a colour as #rrggbb or #rgb",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_written_as_in_css() {
        assert_eq!("#f80".parse(), Ok(Colour([255, 136, 0])));
        assert_eq!("01ABff".parse(), Ok(Colour([1, 171, 255])));
        for wrong in ["", "#", "12345", "#12345g", "+12345", "red", "ärg"] {
            assert!(wrong.parse::<Colour>().is_err(), "{wrong}");
        }
    }
}
