//! The parameters of lists: size and position of a page.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use uuid::Uuid;

/// The maximum number of items on a page: 1 to 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSize(pub(crate) u8);

impl PageSize {
    pub(crate) const DEFAULT: Self = Self(20);
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

    /// How many items to read for a page: one more shows whether there is a next page.
    pub(crate) fn with_next(self) -> i64 {
        i64::from(self.0) + 1
    }

    /// Shortens items that were read for this page, and returns the cursor of the next page, if there is one.
    pub(crate) fn cut<T>(self, items: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> Option<String> {
        let more = items.len() > usize::from(self.0);
        items.truncate(self.0.into());
        items.last().filter(|_| more).map(|last| Cursor(id(last)).encode())
    }
}

/// The position of a page in a list: after the item with this id. Opaque to clients, so that its encoding can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) Uuid);

impl Cursor {
    /// The first byte; identifies the encoding.
    const VERSION: u8 = 1;

    fn parse(text: &str) -> Result<Self, String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match bytes.split_first() {
            Some((&Self::VERSION, id)) => Uuid::from_slice(id).ok(),
            _ => None,
        }
        .map(Self)
        .ok_or_else(|| "must be the next_cursor of a page".to_owned())
    }

    pub(crate) fn encode(self) -> String {
        let mut bytes = vec![Self::VERSION];
        bytes.extend_from_slice(self.0.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn schema() -> MetaSchema {
        MetaSchema { max_length: Some(100), ..MetaSchema::new("string") }
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

pub(crate) use parameter;

parameter!(PageSize Cursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip() {
        let cursor = Cursor(Uuid::now_v7());
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

    #[test]
    fn a_page_has_a_cursor_if_more_was_read() {
        let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
        let (mut page, mut last) = (ids.clone(), ids.clone());
        assert_eq!(PageSize(2).cut(&mut page, |id| *id), Some(Cursor(ids[1]).encode()));
        assert_eq!((page.len(), PageSize(3).cut(&mut last, |id| *id), last.len()), (2, None, 3));
    }
}
