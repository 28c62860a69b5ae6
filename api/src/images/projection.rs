//! Lists with only some fields of their images.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use super::wire::Image;
use crate::paging::parameter;

/// The fields of an image in a list.
const FIELDS: [&str; 8] = ["id", "title", "tags", "metadata", "status", "source", "created_at", "links"];

/// The fields that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields(Vec<&'static str>);

impl Fields {
    fn parse(text: &str) -> Result<Self, String> {
        let field = |name: &str| FIELDS.into_iter().find(|field| *field == name);
        let fields: Option<Vec<_>> = text.split(',').map(field).collect();
        fields.map(Self).ok_or_else(|| format!("must be a list, separated by commas, of {}", FIELDS.join(", ")))
    }

    /// As in the URL.
    pub(super) fn encode(&self) -> String {
        self.0.join(",")
    }

    fn schema() -> MetaSchema {
        let one = FIELDS.join("|");
        MetaSchema { pattern: Some(format!("^({one})(,({one}))*$")), ..MetaSchema::new("string") }
    }
}

parameter!(Fields);

/// An image of a list, with the fields that the client asks for.
#[derive(Clone, Debug)]
pub(crate) struct ListedImage {
    pub(super) image: Image,
    /// `None`: all.
    pub(super) fields: Option<Fields>,
}

impl Type for ListedImage {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Image::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        Image::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Image::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ToJSON for ListedImage {
    fn to_json(&self) -> Option<Value> {
        let mut image = self.image.to_json();
        if let (Some(Value::Object(image)), Some(fields)) = (&mut image, &self.fields) {
            image.retain(|name, _| fields.0.contains(&name.as_str()));
        }
        image
    }
}

impl ParseFromJSON for ListedImage {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let image = Image::parse_from_json(value).map_err(ParseError::propagate)?;
        Ok(Self { image, fields: None })
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example as _;

    use super::*;

    #[test]
    fn every_field_of_an_image_can_be_asked_for() {
        let Some(Value::Object(image)) = Image::example().to_json() else { panic!("an image is an object") };
        assert!(image.keys().all(|name| FIELDS.contains(&name.as_str())) && image.len() == FIELDS.len());
    }
}
