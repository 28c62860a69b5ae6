//! File formats in the `OpenAPI` document and in JSON.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// A value that only a newer version of the service knows.
pub(crate) const UNKNOWN: &str = "unknown";

/// Makes a string enum of the model a named schema, so that its variants are listed only there.
macro_rules! string_schema {
    ($name:ident, $description:literal) => {
        #[doc = $description]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) Option<darkroom_model::$name>);

        impl From<darkroom_model::$name> for $name {
            fn from(value: darkroom_model::$name) -> Self {
                Self(Some(value))
            }
        }

        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Reference(stringify!($name).to_owned())
            }

            fn register(registry: &mut Registry) {
                registry.create_schema::<Self, _>(stringify!($name).to_owned(), |_| MetaSchema {
                    description: Some($description),
                    enum_items: {
                        let known = darkroom_model::$name::ALL.iter().map(|value| value.as_str());
                        known.chain([UNKNOWN]).map(Value::from).collect()
                    },
                    ..MetaSchema::new("string")
                });
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(self.0.map_or(UNKNOWN, |value| value.as_str()).into())
            }
        }

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                let value = value.unwrap_or_default();
                let parsed = value.as_str().and_then(|text| text.parse().ok());
                parsed.map(|parsed| Self(Some(parsed))).ok_or_else(|| ParseError::expected_type(value))
            }
        }
    };
}

string_schema!(
    SourceFormat,
    "The format of an uploaded file, detected from its first bytes; `unknown` if only a newer version of the service knows it."
);
string_schema!(RenditionFormat, "The format of a rendition.");
