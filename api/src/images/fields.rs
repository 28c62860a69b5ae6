//! The fields of the upload form: their meaning, their limits, and how the spec describes them.

use std::{fmt::Display, num::NonZeroU32, str::FromStr};

use darkroom_shared::image::{Fit, MAX_DIMENSION, Quality, Recipe, RenditionFormat, Resize, Title};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};

use crate::error::ApiError;

/// The field that holds the picture.
pub(super) const FILE: &str = "file";
/// Characters of a lane's name at most.
const LANE_MAX: usize = 100;
/// The word of `format` that leaves the choice to the worker.
const AUTO: &str = "auto";

/// What the text fields of a form ask for.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) title: Option<Title>,
    /// Whose upload it is, for fairness.
    pub(super) lane: Option<String>,
    width: Option<NonZeroU32>,
    height: Option<NonZeroU32>,
    fit: Option<Fit>,
    format: Option<Format>,
    quality: Option<Quality>,
    seen: Vec<&'static str>,
}

/// What a rendition is to be encoded as.
#[derive(Clone, Copy, Debug)]
enum Format {
    Auto,
    Fixed(RenditionFormat),
}

impl Fields {
    /// The name of a field that may come now; an error for one that is unknown, or has come before.
    pub(super) fn expect(&mut self, name: &str) -> Result<&'static str, ApiError> {
        let Some((known, ..)) = FIELDS.iter().find(|(known, ..)| *known == name) else {
            let known: Vec<_> = FIELDS.iter().map(|(known, ..)| *known).collect();
            return Err(ApiError::Form(format!("There is no field {name:.40?}. Known are: {}.", known.join(", "))));
        };
        if self.seen.contains(known) {
            return Err(ApiError::Form(format!("{known} is there twice.")));
        }
        self.seen.push(known);
        Ok(known)
    }

    /// Takes the value of a text field. An empty one counts as not sent, because browsers send fields left empty.
    pub(super) fn set(&mut self, name: &'static str, text: &str) -> Result<(), ApiError> {
        if text.is_empty() {
            return Ok(());
        }
        let wrong = |reason: String| ApiError::Field { field: name, reason: format!("{reason}.") };
        match name {
            "title" => self.title = Some(Title::parse(text).map_err(|error| wrong(error.to_string()))?),
            "lane" if text.chars().count() > LANE_MAX || text.contains(char::is_control) => {
                return Err(wrong(format!("must be at most {LANE_MAX} characters without control characters")));
            }
            "lane" => self.lane = Some(text.to_owned()),
            "width" => self.width = Some(dimension(text).map_err(wrong)?),
            "height" => self.height = Some(dimension(text).map_err(wrong)?),
            "fit" => self.fit = Some(word(text, Fit::ALL).map_err(wrong)?),
            "format" if text == AUTO => self.format = Some(Format::Auto),
            "format" => {
                let format = word(text, RenditionFormat::ALL).map_err(|reason| wrong(format!("{reason}, {AUTO}")))?;
                self.format = Some(Format::Fixed(format));
            }
            "quality" => {
                let quality = text.parse().ok().and_then(Quality::new);
                self.quality = Some(quality.ok_or_else(|| wrong("must be a whole number from 1 to 100".to_owned()))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// What to render: what was asked for, or else the standard set.
    pub(super) fn recipe(&self) -> Recipe {
        let &Self { width, height, fit, format, quality, .. } = self;
        if width.is_none() && height.is_none() && fit.is_none() && format.is_none() && quality.is_none() {
            return Recipe::Standard;
        }
        Recipe::Resize(Resize {
            width,
            height,
            fit: fit.unwrap_or(Fit::Inside),
            format: match format {
                None | Some(Format::Auto) => None,
                Some(Format::Fixed(format)) => Some(format),
            },
            quality: quality.unwrap_or(Quality::DEFAULT),
        })
    }
}

fn dimension(text: &str) -> Result<NonZeroU32, String> {
    let side = text.parse::<NonZeroU32>().ok().filter(|side| side.get() <= MAX_DIMENSION);
    side.ok_or_else(|| format!("must be a whole number from 1 to {MAX_DIMENSION}"))
}

fn word<T: FromStr + Display>(text: &str, all: &[T]) -> Result<T, String> {
    text.parse().map_err(|_| format!("must be one of {}", list(all)))
}

fn list<T: Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

type Field = (&'static str, &'static str, fn() -> MetaSchema);

/// Every field: its name, its description, and its type. The spec has no defaults and no examples for them: some
/// generated clients would send those, and so ask for a rendition where nobody did.
const FIELDS: &[Field] = &[
    (FILE, "The picture: JPEG, PNG, WebP or GIF. Told from its bytes, whatever its name or declared type.", || {
        MetaSchema::new_with_format("string", "binary")
    }),
    ("title", "What a person calls it: 1 to 200 characters. Default: the name of the file.", || MetaSchema {
        min_length: Some(1),
        max_length: Some(Title::MAX_CHARS),
        ..MetaSchema::new("string")
    }),
    (
        "lane",
        "Whose upload it is, for example the id of your own user. Lanes take turns, so a thousand uploads of one do not \
         delay the single one of another. Uploads without a lane share one.",
        || MetaSchema { max_length: Some(LANE_MAX), ..MetaSchema::new("string") },
    ),
    (
        "width",
        "Width of the rendition, in pixels. Any of `width`, `height`, `fit`, `format` and `quality` asks for exactly \
         one rendition, named `resized`; with none of them the standard set is made. The picture is never enlarged.",
        side,
    ),
    ("height", "Height of the rendition, in pixels. A missing side follows from the other.", side),
    (
        "fit",
        "How the picture is brought to `width` and `height`. `inside`: the whole picture, inside the box. `cover`: \
         the box is filled, and what sticks out is cut off. `fill`: exactly the box, distorted if need be. Default: \
         `inside`.",
        || words(Fit::ALL, None),
    ),
    ("format", "What the rendition is encoded as; `auto`, the default: whatever suits the picture.", || {
        words(RenditionFormat::ALL, Some(AUTO))
    }),
    ("quality", "Quality of the encoding, from 1 (smallest file) to 100 (best picture). Default: 80.", || MetaSchema {
        minimum: Some(1.0),
        maximum: Some(100.0),
        ..MetaSchema::new_with_format("integer", "int32")
    }),
];

fn side() -> MetaSchema {
    MetaSchema {
        minimum: Some(1.0),
        maximum: Some(MAX_DIMENSION.into()),
        ..MetaSchema::new_with_format("integer", "int32")
    }
}

fn words<T: Display>(all: &[T], more: Option<&str>) -> MetaSchema {
    let words = all.iter().map(ToString::to_string).chain(more.map(str::to_owned));
    MetaSchema { enum_items: words.map(Into::into).collect(), ..MetaSchema::new("string") }
}

/// The form in the spec.
pub(super) fn schema() -> MetaSchemaRef {
    let property = |&(name, description, schema): &Field| {
        let schema = MetaSchema { description: Some(description), ..schema() };
        (name, MetaSchemaRef::Inline(Box::new(schema)))
    };
    MetaSchemaRef::Inline(Box::new(MetaSchema {
        required: vec![FILE],
        properties: FIELDS.iter().map(property).collect(),
        ..MetaSchema::new("object")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(fields: &[(&'static str, &str)]) -> Result<Recipe, ApiError> {
        let mut read = Fields::default();
        for (name, text) in fields {
            let name = read.expect(name)?;
            read.set(name, text)?;
        }
        Ok(read.recipe())
    }

    #[test]
    fn without_a_wish_the_standard_set_is_made() {
        assert_eq!(recipe(&[("title", "x"), ("width", "")]).unwrap(), Recipe::Standard);
    }

    #[test]
    fn one_wish_makes_one_rendition() {
        let asked = Resize {
            width: None,
            height: None,
            fit: Fit::Inside,
            format: Some(RenditionFormat::Webp),
            quality: Quality::DEFAULT,
        };
        assert_eq!(recipe(&[("format", "webp")]).unwrap(), Recipe::Resize(asked.clone()));
        assert_eq!(recipe(&[("format", "auto")]).unwrap(), Recipe::Resize(Resize { format: None, ..asked }));
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (name, text) in [
            ("width", "0"),
            ("width", "16385"),
            ("width", "-1"),
            ("height", "1.5"),
            ("height", "99999999999999999999"),
            ("fit", "contain"),
            ("format", "avif"),
            ("quality", "0"),
            ("quality", "101"),
            ("title", "  "),
            ("lane", "a\nb"),
        ] {
            assert!(matches!(recipe(&[(name, text)]), Err(ApiError::Field { .. })), "{name}={text}");
        }
    }

    #[test]
    fn unknown_and_repeated_fields_are_refused() {
        assert!(matches!(recipe(&[("widht", "1")]), Err(ApiError::Form(_))));
        assert!(matches!(recipe(&[("width", "1"), ("width", "1")]), Err(ApiError::Form(_))));
    }
}
