//! The parameters of URLs, parsed into types.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use darkroom_model::{Metadata, SourceFormat, Tags, Title};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};

use crate::paging::parameter;

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

/// A tag to filter by.
#[derive(Clone, Debug)]
pub(super) struct Tag(pub(super) String);

impl Tag {
    fn parse(text: &str) -> Result<Self, String> {
        Tags::parse_one(text).map(Self).map_err(|error| error.to_string())
    }

    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(Tags::MAX_CHARS), ..MetaSchema::new("string") }
    }
}

/// The name of a member of the metadata.
#[derive(Clone, Debug)]
pub(super) struct MemberName(pub(super) String);

impl MemberName {
    fn parse(text: &str) -> Result<Self, String> {
        let max = Metadata::MAX_NAME_CHARS;
        if !(1..=max).contains(&text.chars().count()) || text.contains('\0') {
            return Err(format!("must have 1 to {max} characters and no NUL"));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(Metadata::MAX_NAME_CHARS), ..MetaSchema::new("string") }
    }
}

/// The value of a member of the metadata.
#[derive(Clone, Debug)]
pub(super) struct MemberValue(pub(super) String);

impl MemberValue {
    /// Maximum length in characters; longer values are not found.
    const MAX_CHARS: usize = 1000;

    fn parse(text: &str) -> Result<Self, String> {
        let max = Self::MAX_CHARS;
        if text.chars().count() > max || text.contains('\0') {
            return Err(format!("must have at most {max} characters and no NUL"));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> MetaSchema {
        MetaSchema { max_length: Some(Self::MAX_CHARS), ..MetaSchema::new("string") }
    }
}

/// A moment (RFC 3339).
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) DateTime<Utc>);

impl Time {
    fn parse(text: &str) -> Result<Self, String> {
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|time| Self(time.to_utc()))
            .map_err(|_| "must be a time of RFC 3339 such as 2026-01-31T12:00:00Z".to_owned())
    }

    fn schema() -> MetaSchema {
        MetaSchema::new_with_format("string", "date-time")
    }
}

/// The format of an uploaded file to filter by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format(pub(super) SourceFormat);

impl Format {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let names: Vec<_> = SourceFormat::ALL.iter().map(|format| format.as_str()).collect();
            format!("must be one of {}", names.join(", "))
        })
    }

    fn schema() -> MetaSchema {
        let names = SourceFormat::ALL.iter().map(|format| format.as_str().into()).collect();
        MetaSchema { enum_items: names, ..MetaSchema::new("string") }
    }
}

parameter!(TitlePart Tag MemberName MemberValue Time Format);
