//! The upload form in the `OpenAPI` document. Recipe fields have neither defaults nor examples there: some generated clients
//! send these, and so would request a rendition by mistake.

use std::sync::LazyLock;

use darkroom_model::{
    SourceFormat, Title,
    recipe::{self, ValueSchema},
};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};

use super::fields::{DRY_RUN, FILE, LANE, LANE_MAX, METADATA, TAGS, TITLE};

static FILE_DESCRIPTION: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<_> = SourceFormat::ALL.iter().map(|format| format.name()).collect();
    let (last, others) = names.split_last().expect("there are formats");
    let formats = others.join(", ");
    format!("The image: {formats} or {last}. The format is detected from the content; name and media type are ignored.")
});

/// The schema of the form.
pub(super) fn form() -> MetaSchemaRef {
    let own = [
        (FILE, FILE_DESCRIPTION.as_str(), MetaSchema::new_with_format("string", "binary")),
        (
            TITLE,
            "The title of the image: 1 to 200 characters. Default: the name of the file.",
            MetaSchema { min_length: Some(1), max_length: Some(Title::MAX_CHARS), ..MetaSchema::new("string") },
        ),
        (
            TAGS,
            "The tags of the image, separated by commas: at most 32, each of 1 to 64 characters.",
            MetaSchema::new("string"),
        ),
        (
            METADATA,
            "The metadata of the image, as the text of a JSON object: at most 4096 bytes without white space, 64 members and a \
             depth of 4.",
            MetaSchema::new("string"),
        ),
        (
            LANE,
            "The lane of the upload, for example the id of your own user. Lanes take turns, so a thousand uploads of one lane \
             do not delay a single upload of another. Uploads without a lane share one.",
            MetaSchema { max_length: Some(LANE_MAX), ..MetaSchema::new("string") },
        ),
        (
            DRY_RUN,
            "Whether the upload is only checked: the status is 200 with what would be made, and nothing is stored. Default: \
             `false`.",
            MetaSchema::new("boolean"),
        ),
    ];
    let recipe = recipe::FIELDS.iter().map(|field| (field.name, field.description, meta_schema(field.schema())));
    let property = |(name, description, schema)| {
        let schema = MetaSchema { description: Some(description), ..schema };
        (name, MetaSchemaRef::Inline(Box::new(schema)))
    };
    MetaSchemaRef::Inline(Box::new(MetaSchema {
        required: vec![FILE],
        properties: own.into_iter().chain(recipe).map(property).collect(),
        ..MetaSchema::new("object")
    }))
}

/// A field's values as a schema object of `OpenAPI` 3.0.
fn meta_schema(schema: ValueSchema) -> MetaSchema {
    match schema {
        ValueSchema::Boolean => MetaSchema::new("boolean"),
        ValueSchema::Integer { min, max, bits } => MetaSchema {
            minimum: decimal(&min),
            maximum: decimal(&max),
            ..MetaSchema::new_with_format("integer", if bits > 32 { "int64" } else { "int32" })
        },
        ValueSchema::Number { min, max } => MetaSchema {
            minimum: decimal(&min),
            maximum: decimal(&max),
            ..MetaSchema::new_with_format("number", "float")
        },
        ValueSchema::OneOf(values) => {
            MetaSchema { enum_items: values.into_iter().map(Into::into).collect(), ..MetaSchema::new("string") }
        }
        ValueSchema::Text { format, pattern, .. } => {
            MetaSchema { format, pattern: pattern.map(str::to_owned), ..MetaSchema::new("string") }
        }
    }
}

/// Converts through decimal text, so that an `f32` of 0.3 does not become 0.30000001192.
fn decimal(bound: &impl ToString) -> Option<f64> {
    bound.to_string().parse().ok()
}
