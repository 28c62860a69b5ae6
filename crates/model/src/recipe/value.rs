//! How the text of a form field becomes a typed value, and the schema that describes this to clients.

use std::fmt;

/// The values that a form field takes. Independent of any schema language: the api translates it to `OpenAPI`.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueSchema {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// The smallest value.
        min: u64,
        /// The largest value.
        max: u64,
        /// The width of the integer type that clients should use: 32 or 64.
        bits: u8,
    },
    /// A decimal number.
    Number {
        /// The smallest value.
        min: f32,
        /// The largest value.
        max: f32,
    },
    /// One of these strings.
    OneOf(Vec<&'static str>),
    /// Text with a syntax of its own.
    Text {
        /// The name of the syntax as in `OpenAPI` and JSON Schema, for example `uuid`.
        format: Option<&'static str>,
        /// A regular expression (ECMA-262) that every value matches.
        pattern: Option<&'static str>,
        /// The syntax in words; the message "must be …" ends with it.
        description: &'static str,
    },
}

impl fmt::Display for ValueSchema {
    /// The expected value in words, for example `a whole number from 1 to 100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Integer { min, max, .. } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::OneOf(values) => write!(f, "one of {}", values.join(", ")),
            Self::Text { description, .. } => f.write_str(description),
        }
    }
}

/// The type of a form field: its values, their schema and their parser.
pub(crate) trait FormValue {
    /// The parsed value.
    type Value;

    /// The values that [`Self::parse`] accepts.
    fn schema() -> ValueSchema;

    /// `None` if the text is not a value of [`Self::schema`].
    fn parse(text: &str) -> Option<Self::Value>;
}

impl FormValue for bool {
    type Value = Self;

    fn schema() -> ValueSchema {
        ValueSchema::Boolean
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
