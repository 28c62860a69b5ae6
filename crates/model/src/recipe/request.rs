//! From the form's fields to a recipe: the laws between fields.

use super::{
    Recipe, Resize,
    choices::{Fit, Position},
    fields::{FIELDS, Field, RenditionRequest},
    numbers::Quality,
};

/// A form field's value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidField {
    /// The field's name in the form.
    pub field: &'static str,
    /// What is expected of it, for the client: `must be …` or a sentence.
    pub reason: String,
}

impl RenditionRequest {
    /// The field of this name, or `None` if recipes have none.
    pub fn field(name: &str) -> Option<&'static Field> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Parses the value of one field. A second value replaces the first.
    pub fn set(&mut self, field: &'static Field, text: &str) -> Result<(), InvalidField> {
        if (field.set)(self, text) {
            return Ok(());
        }
        Err(InvalidField { field: field.name, reason: format!("must be {}.", field.schema()) })
    }

    /// The recipe that was requested; the standard set if no field is set. Combinations of fields without effect are
    /// refused, because they are more often a mistake than an intention.
    pub fn validate(&self) -> Result<Recipe, InvalidField> {
        if *self == Self::default() {
            return Ok(Recipe::Standard);
        }
        self.validate_position()?;
        self.validate_overlay()?;
        if self.ssim.is_some() && (self.quality.is_some() || self.max_bytes.is_some()) {
            return Err(invalid("ssim", "determines the quality; cannot be combined with quality or max_bytes."));
        }
        Ok(Recipe::Resize(self.resize()))
    }

    fn validate_position(&self) -> Result<(), InvalidField> {
        let has_box = self.width.is_some() && self.height.is_some();
        match (self.position, self.fit) {
            (Some(Position::Attention), fit) if fit != Some(Fit::Cover) => {
                Err(invalid("position", "attention requires fit=cover."))
            }
            (Some(_), Some(Fit::Cover | Fit::Contain)) if has_box => Ok(()),
            (Some(_), _) => Err(invalid("position", "requires fit=cover or fit=contain, a width and a height.")),
            (None, _) => Ok(()),
        }
    }

    fn validate_overlay(&self) -> Result<(), InvalidField> {
        let details = [
            ("overlay_position", self.overlay_position.is_some()),
            ("overlay_scale", self.overlay_scale.is_some()),
            ("overlay_opacity", self.overlay_opacity.is_some()),
            ("overlay_margin", self.overlay_margin.is_some()),
        ];
        match details.into_iter().find(|(_, is_set)| *is_set) {
            Some((field, _)) if self.overlay.is_none() => Err(invalid(field, "requires an overlay.")),
            _ => Ok(()),
        }
    }

    fn resize(&self) -> Resize {
        let mut resize = self.to_resize();
        if self.quality.is_none() && self.max_bytes.is_some() {
            // The search for the highest quality within the limit has no other upper bound.
            resize.quality = Quality::MAX;
        }
        if let Some(overlay) = &mut resize.overlay {
            overlay.position = self.overlay_position.unwrap_or(overlay.position);
            overlay.scale = self.overlay_scale.unwrap_or(overlay.scale);
            overlay.opacity = self.overlay_opacity.unwrap_or(overlay.opacity);
            overlay.margin = self.overlay_margin.unwrap_or(overlay.margin);
        }
        resize
    }
}

fn invalid(field: &'static str, reason: &str) -> InvalidField {
    InvalidField { field, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;
    use crate::{
        ImageId, RenditionFormat,
        recipe::{Blur, Colour, Crop, Effort, Gamut, Keep, Overlay, Rotation, Sharpen, Ssim},
    };

    fn recipe(fields: &[(&str, &str)]) -> Result<Recipe, InvalidField> {
        let mut request = RenditionRequest::default();
        for (name, text) in fields {
            request.set(RenditionRequest::field(name).unwrap(), text)?;
        }
        request.validate()
    }

    fn resize(fields: &[(&str, &str)]) -> Resize {
        match recipe(fields) {
            Ok(Recipe::Resize(resize)) => resize,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_field_the_standard_set_is_rendered() {
        assert_eq!(recipe(&[]).unwrap(), Recipe::Standard);
    }

    #[test]
    fn one_field_requests_one_rendition() {
        let requested = Resize { format: Some(RenditionFormat::Webp), ..Resize::default() };
        assert_eq!(resize(&[("format", "webp")]), requested);
        assert_eq!(resize(&[("format", "auto")]), Resize::default());
        assert_eq!(resize(&[("flip", "false")]), Resize::default());
    }

    #[test]
    fn every_field_reaches_the_recipe() {
        let part = Crop { x: 10, y: 0, width: NonZeroU32::MIN, height: NonZeroU32::new(40).unwrap() };
        let size = [("width", "3"), ("height", "4"), ("fit", "cover")];
        assert_eq!(resize(&[size[0], size[1], size[2], ("position", "top-left")]).position, Position::TopLeft);
        assert_eq!(resize(&[("position", "attention"), size[0], size[1], size[2]]).position, Position::Attention);
        assert_eq!(resize(&[("crop", "10, 0,1,40")]).crop, Some(part));
        assert_eq!(resize(&[("rotate", "270")]).rotate, Some(Rotation::ThreeQuarters));
        assert!(resize(&[("flip", "true")]).flip && resize(&[("flop", "true")]).flop);
        assert!(resize(&[("grayscale", "true")]).grayscale && resize(&[("enlarge", "true")]).enlarge);
        assert_eq!(resize(&[("blur", "2.5")]).blur, Blur::new(2.5));
        assert_eq!(resize(&[("sharpen", "1")]).sharpen, Sharpen::new(1.0));
        assert_eq!(resize(&[("background", "#00ff00")]).background, Some(Colour([0, 255, 0])));
        let image = ImageId::now();
        let id = image.to_string();
        assert_eq!(resize(&[("overlay", &id)]).overlay, Some(Overlay::of(image)));
        let placed =
            [("overlay_position", "top"), ("overlay_scale", "1"), ("overlay", &*id), ("overlay_opacity", "0.5")];
        let overlay = resize(&[placed[0], placed[1], placed[2], placed[3], ("overlay_margin", "0")]).overlay.unwrap();
        assert_eq!((overlay.position, overlay.scale.get()), (Position::Top, 1.0));
        assert_eq!((overlay.opacity.get(), overlay.margin.get()), (0.5, 0.0));
        assert_eq!(resize(&[("effort", "best")]).effort, Effort::Best);
        assert_eq!(resize(&[("gamut", "p3")]).gamut, Gamut::P3);
        assert_eq!(resize(&[("keep", "copyright")]).keep, Keep::Copyright);
        assert_eq!(resize(&[("quality", "7")]).quality.get(), 7);
        assert_eq!(resize(&[("ssim", "72.5")]).ssim, Ssim::new(72.5));
    }

    #[test]
    fn a_searched_quality_may_be_the_highest_unless_it_is_bounded() {
        let by_bytes = resize(&[("max_bytes", "5000")]);
        assert_eq!((by_bytes.max_bytes, by_bytes.quality), (NonZeroU64::new(5000), Quality::MAX));
        assert_eq!(resize(&[("max_bytes", "5000"), ("quality", "60")]).quality, Quality::new(60).unwrap());
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (name, text) in [
            ("width", "0"),
            ("width", "16385"),
            ("width", "-1"),
            ("height", "1.5"),
            ("height", "99999999999999999999"),
            ("fit", "outside"),
            ("position", "middle"),
            ("enlarge", "yes"),
            ("crop", "1,2,3"),
            ("crop", "1,2,3,4,5"),
            ("crop", "0,0,0,1"),
            ("crop", "-1,0,1,1"),
            ("rotate", "45"),
            ("flip", "1"),
            ("blur", "0"),
            ("blur", "NaN"),
            ("sharpen", "5.1"),
            ("background", "red"),
            ("overlay", "logo.png"),
            ("overlay_position", "attention"),
            ("overlay_scale", "0"),
            ("overlay_opacity", "1.1"),
            ("overlay_margin", "0.3"),
            ("gamut", "adobe"),
            ("keep", "all"),
            ("format", "bmp"),
            ("effort", "fast"),
            ("quality", "0"),
            ("quality", "101"),
            ("max_bytes", "0"),
            ("max_bytes", "1000000001"),
            ("ssim", "-1"),
            ("ssim", "101"),
        ] {
            let error = recipe(&[(name, text)]).unwrap_err();
            assert!(error.field == name && error.reason.starts_with("must be "), "{name}={text}: {error}");
        }
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        let size = [("width", "3"), ("height", "4")];
        for fields in [
            &[("position", "top")][..],
            &[("position", "top"), ("fit", "cover"), ("width", "3")],
            &[("position", "top"), ("fit", "fill"), size[0], size[1]],
            &[("position", "attention"), ("fit", "contain"), size[0], size[1]],
            &[("overlay_position", "top")],
            &[("overlay_scale", "0.5"), ("width", "3")],
            &[("overlay_opacity", "1")],
            &[("overlay_margin", "0")],
            &[("ssim", "70"), ("quality", "80")],
            &[("ssim", "70"), ("max_bytes", "9000")],
        ] {
            assert_eq!(recipe(fields).unwrap_err().field, fields[0].0, "{fields:?}");
        }
    }

    #[test]
    fn an_error_names_the_field_and_the_values_that_it_takes() {
        for (name, text, message) in [
            ("width", "0", "width: must be a whole number from 1 to 16384."),
            ("fit", "outside", "fit: must be one of inside, cover, contain, fill."),
            ("flip", "1", "flip: must be true or false."),
            ("blur", "0", "blur: must be a number from 0.3 to 100."),
            ("format", "bmp", "format: must be one of jpeg, png, webp, avif, auto."),
            ("background", "red", "background: must be a colour as #rrggbb or #rgb."),
            ("overlay", "logo.png", "overlay: must be the id of an image."),
        ] {
            assert_eq!(recipe(&[(name, text)]).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn every_example_is_valid_and_every_description_a_sentence() {
        for field in FIELDS {
            RenditionRequest::default().set(field, field.example).unwrap();
            assert!(field.description.ends_with('.') && !field.description.contains("  "), "{}", field.name);
        }
    }
}
