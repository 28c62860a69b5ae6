//! The fields of the upload form: the file, what is said of it, its lane, and the fields of recipes.

use darkroom_model::{
    Metadata, Tags, Title,
    recipe::{self, InvalidField, Recipe, RenditionRequest},
};

use crate::error::ApiError;

/// The name of the field with the file.
pub(super) const FILE: &str = "file";
/// The name of the field with the title.
pub(super) const TITLE: &str = "title";
/// The name of the field with the tags.
pub(super) const TAGS: &str = "tags";
/// The name of the field with the metadata.
pub(super) const METADATA: &str = "metadata";
/// The name of the field with the lane.
pub(super) const LANE: &str = "lane";
/// The name of the field that makes an upload a dry run.
pub(super) const DRY_RUN: &str = "dry_run";
/// Maximum length of a lane's name, in characters.
pub(super) const LANE_MAX: usize = 100;
/// How much of an unknown field's name an error repeats, in characters.
const NAME_EXCERPT: usize = 40;

/// A field that the form may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum FormField {
    /// The image.
    File,
    /// A text field.
    Text(TextField),
}

/// A field whose value is text.
#[derive(Clone, Copy, Debug)]
pub(super) enum TextField {
    Title,
    /// Separated by commas.
    Tags,
    /// A JSON object.
    Metadata,
    /// Jobs of different lanes take turns.
    Lane,
    /// Whether nothing is to be stored.
    DryRun,
    Recipe(&'static recipe::Field),
}

/// The values of the text fields that a form has had so far.
#[derive(Debug, Default)]
pub(super) struct FormValues {
    pub(super) title: Option<Title>,
    pub(super) tags: Tags,
    pub(super) metadata: Metadata,
    pub(super) lane: Option<String>,
    pub(super) is_dry_run: bool,
    rendition: RenditionRequest,
    seen: Vec<&'static str>,
}

impl FormField {
    fn find(name: &str) -> Option<Self> {
        match name {
            FILE => Some(Self::File),
            TITLE => Some(Self::Text(TextField::Title)),
            TAGS => Some(Self::Text(TextField::Tags)),
            METADATA => Some(Self::Text(TextField::Metadata)),
            LANE => Some(Self::Text(TextField::Lane)),
            DRY_RUN => Some(Self::Text(TextField::DryRun)),
            name => RenditionRequest::field(name).map(|field| Self::Text(TextField::Recipe(field))),
        }
    }

    /// Its name in the form.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => FILE,
            Self::Text(TextField::Title) => TITLE,
            Self::Text(TextField::Tags) => TAGS,
            Self::Text(TextField::Metadata) => METADATA,
            Self::Text(TextField::Lane) => LANE,
            Self::Text(TextField::DryRun) => DRY_RUN,
            Self::Text(TextField::Recipe(field)) => field.name,
        }
    }
}

impl FormValues {
    /// The field of this name. Fails if there is none, or if the form has had it before.
    pub(super) fn expect(&mut self, name: &str) -> Result<FormField, ApiError> {
        let Some(field) = FormField::find(name) else {
            let excerpt: String = name.chars().take(NAME_EXCERPT).collect();
            let own = [FILE, TITLE, TAGS, METADATA, LANE, DRY_RUN];
            let known: Vec<_> = own.into_iter().chain(recipe::FIELDS.iter().map(|f| f.name)).collect();
            return Err(ApiError::Form(format!(
                "There is no field {excerpt:?}. The fields are: {}.",
                known.join(", ")
            )));
        };
        if self.seen.contains(&field.name()) {
            return Err(ApiError::Form(format!("The field {} occurs twice.", field.name())));
        }
        self.seen.push(field.name());
        Ok(field)
    }

    /// Parses the value of a text field. An empty value counts as absent, because browsers submit empty fields.
    pub(super) fn set(&mut self, field: TextField, text: &str) -> Result<(), ApiError> {
        if text.is_empty() {
            return Ok(());
        }
        match field {
            TextField::Title => {
                let title = Title::parse(text);
                self.title = Some(title.map_err(|error| invalid(TITLE, format!("{error}.")))?);
            }
            TextField::Tags => {
                let tags = Tags::parse(text.split(','));
                self.tags = tags.map_err(|error| invalid(TAGS, format!("{error}.")))?;
            }
            TextField::Metadata => {
                let metadata = Metadata::parse(text);
                self.metadata = metadata.map_err(|error| invalid(METADATA, format!("{error}.")))?;
            }
            TextField::Lane if text.chars().count() > LANE_MAX || text.contains(char::is_control) => {
                let reason = format!("must have at most {LANE_MAX} characters and no control characters.");
                return Err(invalid(LANE, reason));
            }
            TextField::Lane => self.lane = Some(text.to_owned()),
            TextField::DryRun => {
                self.is_dry_run = text.parse().map_err(|_| invalid(DRY_RUN, "must be true or false.".to_owned()))?;
            }
            TextField::Recipe(field) => self.rendition.set(field, text)?,
        }
        Ok(())
    }

    /// The recipe that the form requests.
    pub(super) fn recipe(&self) -> Result<Recipe, ApiError> {
        Ok(self.rendition.validate()?)
    }
}

fn invalid(field: &'static str, reason: String) -> ApiError {
    InvalidField { field, reason }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(fields: &[(&str, &str)]) -> Result<Recipe, ApiError> {
        let mut values = FormValues::default();
        for (name, text) in fields {
            if let FormField::Text(field) = values.expect(name)? {
                values.set(field, text)?;
            }
        }
        values.recipe()
    }

    #[test]
    fn without_a_recipe_field_the_standard_set_is_rendered() {
        assert_eq!(recipe(&[("title", "x"), ("width", "")]).unwrap(), Recipe::Standard);
    }

    #[test]
    fn recipe_fields_reach_the_recipe() {
        assert!(
            matches!(recipe(&[("lane", "x"), ("width", "3")]), Ok(Recipe::Resize(resize)) if resize.width.is_some())
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (name, text) in [
            ("width", "0"),
            ("overlay_position", "attention"),
            ("title", "  "),
            ("tags", "a,,b"),
            ("metadata", "[1]"),
            ("lane", "a\nb"),
            ("lane", &"x".repeat(101)),
            ("dry_run", "yes"),
        ] {
            assert!(matches!(recipe(&[(name, text)]), Err(ApiError::Field(_))), "{name}={text}");
        }
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        assert!(matches!(recipe(&[("position", "top")]), Err(ApiError::Field(_))));
    }

    #[test]
    fn unknown_and_repeated_fields_are_refused() {
        assert!(matches!(recipe(&[("widht", "1")]), Err(ApiError::Form(_))));
        assert!(matches!(recipe(&[("width", "1"), ("width", "1")]), Err(ApiError::Form(_))));
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_an_unknown_name() {
        let error = recipe(&[(&"ä\n".repeat(100_000), "1")]).unwrap_err().to_string();
        assert!(error.len() < 1000, "{} bytes", error.len());
    }
}
