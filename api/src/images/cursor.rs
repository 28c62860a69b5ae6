//! The position of a page in the list of images.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use darkroom_model::ImageId;
use darkroom_shared::catalog::{Position, Sort};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use std::borrow::Cow;
use uuid::Uuid;

use crate::paging::parameter;

/// The position after an image in a list of this order. Opaque to clients, so that its encoding can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListCursor {
    pub(super) sort: Sort,
    pub(super) position: Position,
}

impl ListCursor {
    /// The first byte; identifies the encoding.
    const VERSION: u8 = 2;
    /// Maximum length of the text: 18 bytes and the beginning of a title, in base64.
    const MAX_CHARS: usize = (18 + 4 * Position::TITLE_CHARS).div_ceil(3) * 4;

    fn parse(text: &str) -> Result<Self, String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        Self::decode(&bytes).ok_or_else(|| "must be the next_cursor of a page".to_owned())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, sort], rest) = bytes.split_first_chunk()?;
        let (id, title) = rest.split_first_chunk::<16>()?;
        let sort = match sort {
            0 => Sort::Newest,
            1 => Sort::Oldest,
            2 => Sort::Title,
            _ => return None,
        };
        let title = str::from_utf8(title).ok()?;
        // Postgres refuses NUL.
        let is_valid = version == Self::VERSION
            && (sort == Sort::Title || title.is_empty())
            && title.chars().count() <= Position::TITLE_CHARS
            && !title.contains('\0');
        let position = Position { id: ImageId::from_uuid(Uuid::from_bytes(*id)), title: title.to_owned() };
        is_valid.then_some(Self { sort, position })
    }

    pub(super) fn encode(&self) -> String {
        let sort = match self.sort {
            Sort::Newest => 0,
            Sort::Oldest => 1,
            Sort::Title => 2,
        };
        let id = self.position.id.as_uuid();
        BASE64_URL_SAFE_NO_PAD
            .encode([&[Self::VERSION, sort], &id.as_bytes()[..], self.position.title.as_bytes()].concat())
    }

    fn schema() -> MetaSchema {
        MetaSchema { max_length: Some(Self::MAX_CHARS), ..MetaSchema::new("string") }
    }
}

parameter!(ListCursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip() {
        for (sort, title) in [(Sort::Newest, ""), (Sort::Oldest, ""), (Sort::Title, "harbour ä")] {
            let position = Position { id: ImageId::now(), title: title.to_owned() };
            let cursor = ListCursor { sort, position };
            assert_eq!(ListCursor::parse(&cursor.encode()), Ok(cursor));
        }
    }

    #[test]
    fn an_invalid_cursor_is_refused() {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let id = [7; 16];
        let of = |head: [u8; 2], title: &[u8]| encode(&[&head, id.as_slice(), title].concat());
        assert!(ListCursor::parse(&of([2, 2], b"a")).is_ok());
        for text in [
            String::new(),
            "ü".to_owned(),
            encode(&[2, 0, 1]),
            of([1, 0], b""),
            of([2, 3], b""),
            of([2, 0], b"a"),
            of([2, 2], b"\0"),
            of([2, 2], b"\xff"),
            of([2, 2], &[b'a'; 65]),
        ] {
            assert!(ListCursor::parse(&text).is_err(), "{text}");
        }
    }
}
