//! The parameters of URLs, parsed into types.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use darkroom_model::{ImageId, Title};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use uuid::Uuid;

/// The maximum number of images on a page: 1 to 100.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize(pub(super) u8);

impl PageSize {
    pub(super) const DEFAULT: Self = Self(20);
    const MAX: u8 = 100;

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(size @ 1..=Self::MAX) => Ok(Self(size)),
            _ => Err(format!("must be a whole number from 1 to {}", Self::MAX)),
        }
    }

    fn schema() -> MetaSchema {
        MetaSchema {
            minimum: Some(1.0),
            maximum: Some(Self::MAX.into()),
            default: Some(Self::DEFAULT.0.into()),
            ..MetaSchema::new_with_format("integer", "int32")
        }
    }
}

/// The position of a page in the list: after this image. Opaque to clients, so that its encoding can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor(pub(super) ImageId);

impl Cursor {
    /// The first byte; identifies the encoding.
    const VERSION: u8 = 1;

    fn parse(text: &str) -> Result<Self, String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match bytes.split_first() {
            Some((&Self::VERSION, id)) => Uuid::from_slice(id).ok(),
            _ => None,
        }
        .map(|id| Self(ImageId::from_uuid(id)))
        .ok_or_else(|| "must be the next_cursor of a page".to_owned())
    }

    pub(super) fn encode(self) -> String {
        let mut bytes = vec![Self::VERSION];
        bytes.extend_from_slice(self.0.as_uuid().as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn schema() -> MetaSchema {
        MetaSchema { max_length: Some(100), ..MetaSchema::new("string") }
    }
}

/// Text to search for in titles.
#[derive(Clone, Debug)]
pub(super) struct TitlePart(pub(super) String);

impl TitlePart {
    fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > Title::MAX_CHARS {
            return Err(format!("must have at most {} characters", Title::MAX_CHARS));
        }
        // No title has control characters, and Postgres refuses NUL.
        if text.chars().any(char::is_control) {
            return Err("must not have control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> MetaSchema {
        MetaSchema { max_length: Some(Title::MAX_CHARS), ..MetaSchema::new("string") }
    }
}

/// Implements the framework's parameter traits for types with `parse` and `schema`.
macro_rules! parameter {
    ($($name:ident)+) => {$(
        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new(Self::schema()))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl ParseFromParameter for $name {
            fn parse_from_parameter(text: &str) -> ParseResult<Self> {
                Self::parse(text).map_err(ParseError::custom)
            }
        }
    )+};
}

parameter!(PageSize Cursor TitlePart);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip() {
        let cursor = Cursor(ImageId::now());
        assert_eq!(Cursor::parse(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn an_invalid_cursor_is_refused() {
        let id = Uuid::now_v7();
        let other_version = BASE64_URL_SAFE_NO_PAD.encode([&[2], id.as_bytes().as_slice()].concat());
        for text in ["", "x", "AQ", &id.to_string(), &other_version, "ü"] {
            assert!(Cursor::parse(text).is_err(), "{text}");
        }
    }
}
