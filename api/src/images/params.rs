//! The parameters of URLs, parsed into types.

use std::borrow::Cow;

use darkroom_model::Title;
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

parameter!(TitlePart);
