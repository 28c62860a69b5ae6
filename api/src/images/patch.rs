//! What clients may change of an image.
#![allow(clippy::option_option, reason = "null removes all members, and absence keeps them")]

use std::collections::HashMap;

use darkroom_model::{Metadata, Tags, Title, recipe::InvalidField};
use darkroom_shared::catalog::Details;
use poem_openapi::{Object, types::Example};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::fields::{METADATA, TAGS, TITLE};
use crate::error::ApiError;

/// A JSON Merge Patch (RFC 7396) of an image: members that are absent stay as they are.
#[derive(Clone, Debug, Default, Object, Deserialize)]
#[oai(deny_unknown_fields, example)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImagePatch {
    /// The new title: 1 to 200 characters.
    #[oai(validator(min_length = 1, max_length = 200))]
    #[serde(default, deserialize_with = "not_null")]
    title: Option<String>,
    /// The new tags, instead of all: at most 32, each of 1 to 64 characters without commas.
    #[oai(validator(max_items = 32))]
    #[serde(default, deserialize_with = "null_is_empty")]
    tags: Option<Vec<String>>,
    /// Members of the metadata to add or to replace, at any depth; null removes one. The result has at most 4096 bytes without white
    /// space, 64 members and a depth of 4.
    #[serde(default, deserialize_with = "null_or_members")]
    metadata: Option<Option<HashMap<String, Value>>>,
}

fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::deserialize(deserializer)? {
        None => Err(D::Error::custom("the title cannot be removed")),
        title => Ok(title),
    }
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

/// `Some(None)`: null, which removes all members.
fn null_or_members<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<HashMap<String, Value>>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ImagePatch {
    /// The details with these changes.
    pub(super) fn apply(self, old: &Details) -> Result<Details, ApiError> {
        let invalid = |field, reason: String| InvalidField { field, reason: format!("{reason}.") };
        let mut new = old.clone();
        if let Some(title) = self.title {
            new.title = Title::parse(&title).map_err(|error| invalid(TITLE, error.to_string()))?;
        }
        if let Some(tags) = self.tags {
            let tags = Tags::parse(tags.iter().map(String::as_str));
            new.tags = tags.map_err(|error| invalid(TAGS, error.to_string()))?;
        }
        if let Some(members) = self.metadata {
            let merged = members
                .map_or_else(|| Ok(Metadata::default()), |members| old.metadata.merge(members.into_iter().collect()));
            new.metadata = merged.map_err(|error| invalid(METADATA, error.to_string()))?;
        }
        Ok(new)
    }
}

impl Example for ImagePatch {
    fn example() -> Self {
        Self {
            title: Some("Harbour at dawn".to_owned()),
            tags: Some(vec!["harbour".to_owned(), "sunrise".to_owned()]),
            metadata: Some(Some([("order".to_owned(), 17.into())].into())),
        }
    }
}
