//! The fields of the upload form: their meaning, their limits, and how the spec describes them.

use std::{
    fmt::Display,
    num::{NonZeroU32, NonZeroU64},
    ops::RangeInclusive,
    str::FromStr,
};

use darkroom_model::{
    ImageId, RenditionFormat, Title,
    recipe::{
        Blur, Colour, Crop, Effort, Fit, Gamut, Keep, MAX_DIMENSION, Margin, Opacity, Overlay, Position, Quality,
        Recipe, Resize, Rotation, Scale, Sharpen, Ssim,
    },
};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use uuid::Uuid;

use crate::error::ApiError;

/// The field that holds the picture.
pub(super) const FILE: &str = "file";
/// The field that names the picture to lay on.
pub(super) const OVERLAY: &str = "overlay";
/// Characters of a lane's name at most.
const LANE_MAX: usize = 100;
/// The word of `format` that leaves the choice to the worker.
const AUTO: &str = "auto";
/// The largest `max_bytes`: more than any rendition has.
const MAX_BYTES: NonZeroU64 = NonZeroU64::new(1_000_000_000).expect("not zero");

/// What the text fields of a form ask for.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) title: Option<Title>,
    /// Whose upload it is, for fairness.
    pub(super) lane: Option<String>,
    wish: Wish,
    seen: Vec<&'static str>,
}

/// What a client asks for of its one rendition.
#[derive(Debug, Default, PartialEq)]
struct Wish {
    width: Option<NonZeroU32>,
    height: Option<NonZeroU32>,
    fit: Option<Fit>,
    position: Option<Position>,
    enlarge: Option<bool>,
    crop: Option<Crop>,
    rotate: Option<Rotation>,
    flip: Option<bool>,
    flop: Option<bool>,
    grayscale: Option<bool>,
    blur: Option<Blur>,
    sharpen: Option<Sharpen>,
    background: Option<Colour>,
    overlay: Option<ImageId>,
    overlay_position: Option<Position>,
    overlay_scale: Option<Scale>,
    overlay_opacity: Option<Opacity>,
    overlay_margin: Option<Margin>,
    effort: Option<Effort>,
    gamut: Option<Gamut>,
    keep: Option<Keep>,
    format: Option<Format>,
    quality: Option<Quality>,
    max_bytes: Option<NonZeroU64>,
    ssim: Option<Ssim>,
}

/// What a rendition is to be encoded as.
#[derive(Clone, Copy, Debug, PartialEq)]
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
            name => self.wish.set(name, text).map_err(wrong)?,
        }
        Ok(())
    }

    /// What to render: what was asked for, or else the standard set.
    pub(super) fn recipe(&self) -> Result<Recipe, ApiError> {
        if self.wish == Wish::default() {
            return Ok(Recipe::Standard);
        }
        let problem = |(field, reason): (_, &str)| ApiError::Field { field, reason: reason.to_owned() };
        self.wish.agrees().map_err(problem)?;
        Ok(Recipe::Resize(self.wish.resize()))
    }
}

impl Wish {
    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "width" => self.width = Some(dimension(text)?),
            "height" => self.height = Some(dimension(text)?),
            "fit" => self.fit = Some(word(text, Fit::ALL)?),
            "position" => self.position = Some(word(text, Position::ALL)?),
            "enlarge" => self.enlarge = Some(boolean(text)?),
            "crop" => self.crop = Some(crop(text)?),
            "rotate" => self.rotate = Some(word(text, Rotation::ALL)?),
            "flip" => self.flip = Some(boolean(text)?),
            "flop" => self.flop = Some(boolean(text)?),
            "grayscale" => self.grayscale = Some(boolean(text)?),
            "blur" => self.blur = Some(number(text, Blur::new, &Blur::RANGE)?),
            "sharpen" => self.sharpen = Some(number(text, Sharpen::new, &Sharpen::RANGE)?),
            "background" => {
                let colour = text.parse().map_err(|_| "must be a colour as #rrggbb or #rgb".to_owned())?;
                self.background = Some(colour);
            }
            OVERLAY => {
                let id = Uuid::try_parse(text).map_err(|_| "must be the id of an image".to_owned())?;
                self.overlay = Some(ImageId::from_uuid(id));
            }
            "overlay_position" => self.overlay_position = Some(word(text, &places())?),
            "overlay_scale" => self.overlay_scale = Some(number(text, Scale::new, &Scale::RANGE)?),
            "overlay_opacity" => self.overlay_opacity = Some(number(text, Opacity::new, &Opacity::RANGE)?),
            "overlay_margin" => self.overlay_margin = Some(number(text, Margin::new, &Margin::RANGE)?),
            "gamut" => self.gamut = Some(word(text, Gamut::ALL)?),
            "keep" => self.keep = Some(word(text, Keep::ALL)?),
            "format" if text == AUTO => self.format = Some(Format::Auto),
            "format" => {
                let format = word(text, RenditionFormat::ALL).map_err(|reason| format!("{reason}, {AUTO}"))?;
                self.format = Some(Format::Fixed(format));
            }
            "effort" => self.effort = Some(word(text, Effort::ALL)?),
            "quality" => {
                let quality = text.parse().ok().and_then(Quality::new);
                self.quality = Some(quality.ok_or_else(|| "must be a whole number from 1 to 100".to_owned())?);
            }
            "max_bytes" => {
                let bytes = text.parse().ok().filter(|bytes| *bytes <= MAX_BYTES);
                self.max_bytes = Some(bytes.ok_or_else(|| format!("must be a whole number from 1 to {MAX_BYTES}"))?);
            }
            "ssim" => self.ssim = Some(number(text, Ssim::new, &Ssim::RANGE)?),
            _ => {}
        }
        Ok(())
    }

    /// Refuses wishes that make no sense together: a field that says nothing is more often a mistake than meant.
    fn agrees(&self) -> Result<(), (&'static str, &'static str)> {
        let boxed = self.width.is_some() && self.height.is_some();
        match (self.position, self.fit) {
            (Some(Position::Attention), fit) if fit != Some(Fit::Cover) => {
                return Err(("position", "attention needs fit=cover."));
            }
            (Some(_), Some(Fit::Cover | Fit::Contain)) if boxed => {}
            (Some(_), _) => return Err(("position", "needs fit=cover or fit=contain, a width and a height.")),
            (None, _) => {}
        }
        let of_overlay = [
            ("overlay_position", self.overlay_position.is_some()),
            ("overlay_scale", self.overlay_scale.is_some()),
            ("overlay_opacity", self.overlay_opacity.is_some()),
            ("overlay_margin", self.overlay_margin.is_some()),
        ];
        if self.overlay.is_none()
            && let Some((field, _)) = of_overlay.into_iter().find(|(_, asked)| *asked)
        {
            return Err((field, "needs an overlay."));
        }
        if self.ssim.is_some() && (self.quality.is_some() || self.max_bytes.is_some()) {
            return Err(("ssim", "finds the quality, so neither quality nor max_bytes can be asked for beside it."));
        }
        Ok(())
    }

    fn resize(&self) -> Resize {
        let highest = if self.max_bytes.is_some() { Quality::MAX } else { Quality::DEFAULT };
        let is = |wish: Option<bool>| wish == Some(true);
        Resize {
            width: self.width,
            height: self.height,
            fit: self.fit.unwrap_or(Fit::Inside),
            position: self.position.unwrap_or_default(),
            enlarge: is(self.enlarge),
            crop: self.crop,
            rotate: self.rotate,
            flip: is(self.flip),
            flop: is(self.flop),
            grayscale: is(self.grayscale),
            blur: self.blur,
            sharpen: self.sharpen,
            background: self.background,
            overlay: self.overlay.map(|image| self.overlay(image)),
            effort: self.effort.unwrap_or_default(),
            gamut: self.gamut.unwrap_or_default(),
            keep: self.keep.unwrap_or_default(),
            format: match self.format {
                None | Some(Format::Auto) => None,
                Some(Format::Fixed(format)) => Some(format),
            },
            quality: self.quality.unwrap_or(highest),
            max_bytes: self.max_bytes,
            ssim: self.ssim,
        }
    }

    fn overlay(&self, image: ImageId) -> Overlay {
        let usual = Overlay::of(image);
        Overlay {
            image,
            position: self.overlay_position.unwrap_or(usual.position),
            scale: self.overlay_scale.unwrap_or(usual.scale),
            opacity: self.overlay_opacity.unwrap_or(usual.opacity),
            margin: self.overlay_margin.unwrap_or(usual.margin),
        }
    }
}

/// Where an overlay may lie: `attention` is drawn to a picture, not to what lies on it.
fn places() -> Vec<Position> {
    Position::ALL.iter().copied().filter(|position| *position != Position::Attention).collect()
}

fn dimension(text: &str) -> Result<NonZeroU32, String> {
    let side = text.parse::<NonZeroU32>().ok().filter(|side| side.get() <= MAX_DIMENSION);
    side.ok_or_else(|| format!("must be a whole number from 1 to {MAX_DIMENSION}"))
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

fn number<T>(text: &str, new: fn(f32) -> Option<T>, range: &RangeInclusive<f32>) -> Result<T, String> {
    let value = text.parse().ok().and_then(new);
    value.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}

fn crop(text: &str) -> Result<Crop, String> {
    let crop = || {
        let mut numbers = text.split(',').map(|number| number.trim().parse::<u32>().ok());
        let (x, y) = (numbers.next()??, numbers.next()??);
        let (width, height) = (NonZeroU32::new(numbers.next()??)?, NonZeroU32::new(numbers.next()??)?);
        numbers.next().is_none().then_some(Crop { x, y, width, height })
    };
    crop().ok_or_else(|| "must be x,y,width,height: four whole numbers, width and height at least 1".to_owned())
}

fn word<T: FromStr + Display + PartialEq>(text: &str, all: &[T]) -> Result<T, String> {
    let known = text.parse().ok().filter(|word| all.contains(word));
    known.ok_or_else(|| format!("must be one of {}", list(all)))
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
        "Width of the rendition, in pixels. Any of this field and those that follow asks for exactly one rendition, \
         named `resized`; with none of them the standard set is made.",
        side,
    ),
    ("height", "Height of the rendition, in pixels. A missing side follows from the other.", side),
    (
        "fit",
        "How the picture is brought to `width` and `height`. `inside`: the whole picture, inside the box. `cover`: \
         the box is filled, and what sticks out is cut off. `contain`: the whole picture, inside the box, and the rest \
         of the box is filled up with `background`. `fill`: exactly the box, distorted if need be. Default: `inside`.",
        || words(Fit::ALL, None),
    ),
    (
        "position",
        "With `fit=cover`: which part of the picture stays; `attention` finds the part that draws the eye, by its \
         edges, strong colours and skin. With `fit=contain`: where in the box the picture lies. Default: `centre`.",
        || words(Position::ALL, None),
    ),
    (
        "enlarge",
        "Whether a picture that is smaller than asked for is enlarged. Default: `false`; then the rendition is smaller \
         than asked for, but for the box of `fit=contain`. No rendition is enlarged beyond 32 million pixels, frames of \
         an animation counted together.",
        boolean_schema,
    ),
    (
        "crop",
        "The part of the picture to use, as `x,y,width,height` in pixels of the upright picture; what sticks out of it \
         is left out. All other fields then speak of that part.",
        || MetaSchema { pattern: Some(r"^\d+,\d+,\d+,\d+$".to_owned()), ..MetaSchema::new("string") },
    ),
    (
        "rotate",
        "Turns the upright picture clockwise by so many degrees. `width` and `height` are those after the turn.",
        || words(Rotation::ALL, None),
    ),
    ("flip", "Whether top and bottom change places, after the turn.", boolean_schema),
    ("flop", "Whether left and right change places, after the turn.", boolean_schema),
    ("grayscale", "Whether only the brightness is kept.", boolean_schema),
    (
        "blur",
        "Blurs by a Gaussian with this standard deviation, in pixels of the rendition; mixed as light mixes.",
        || range(&Blur::RANGE),
    ),
    ("sharpen", "Sharpens edges by this much; 0.5 is gentle, 1 well visible. Colours stay.", || range(&Sharpen::RANGE)),
    (
        "background",
        "What a transparent picture, and the box of `fit=contain`, is laid on: `#rrggbb` or `#rgb`, with or without \
         the `#`. Default: it stays transparent; in JPEG, white.",
        || MetaSchema { pattern: Some("^#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$".to_owned()), ..MetaSchema::new("string") },
    ),
    (
        OVERLAY,
        "Another image, by its id, to be laid on this one: a watermark. It must be `ready`, and still be there when this one \
         is rendered, else this one fails as `unsatisfiable`; of an animation the first frame is taken. It is laid on \
         last: effects do not change it.",
        || MetaSchema::new_with_format("string", "uuid"),
    ),
    ("overlay_position", "Where the overlay lies. Default: `bottom-right`.", || words(&places(), None)),
    (
        "overlay_scale",
        "The box that the overlay is fitted into, its shape kept, as a part of the rendition's width and height. An overlay \
         is never enlarged. Default: 0.25.",
        || range(&Scale::RANGE),
    ),
    ("overlay_opacity", "How much of the overlay is seen: at 0 nothing, at 1 all. Default: 1.", || {
        range(&Opacity::RANGE)
    }),
    (
        "overlay_margin",
        "What stays free between the overlay and the edges, as a part of the rendition's shorter side. Default: 0.02.",
        || range(&Margin::RANGE),
    ),
    (
        "effort",
        "What counts more: `speed`, or that the file is small (`best`). The quality stays, but for `speed`, which loses a \
         little of it. Default: `balanced`.",
        || words(Effort::ALL, None),
    ),
    (
        "gamut",
        "The colours the rendition may have. `p3`: a source in other colours than sRGB's is kept in Display P3, and the \
         file says so; sources in sRGB, gray ones and high dynamic range stay in sRGB. Default: `srgb`.",
        || words(Gamut::ALL, None),
    ),
    (
        "keep",
        "What is kept of the source's metadata, as EXIF. `copyright`: artist and copyright; `public`: also title, time, \
         camera, lens and exposure. Places, serial numbers, owners' names, previews and what only its maker can read are \
         never kept. Default: `nothing`.",
        || words(Keep::ALL, None),
    ),
    (
        "format",
        "What the rendition is encoded as; `auto`, the default: whatever suits the picture. AVIF is a tenth smaller than \
         WebP and takes six times as long; `auto` never chooses it.",
        || words(RenditionFormat::ALL, Some(AUTO)),
    ),
    (
        "quality",
        "Quality of the encoding, from 1 (smallest file) to 100 (best picture). Default: 80. With `max_bytes`: \
         the highest that is tried; default: 100.",
        || MetaSchema { minimum: Some(1.0), maximum: Some(100.0), ..MetaSchema::new_with_format("integer", "int32") },
    ),
    (
        "max_bytes",
        "The file has at most so many bytes, and the highest quality for which that is so. The image fails as \
         `unsatisfiable` if it would be larger at the lowest quality.",
        || MetaSchema { minimum: Some(1.0), maximum: Some(1e9), ..MetaSchema::new_with_format("integer", "int64") },
    ),
    (
        "ssim",
        "How much the rendition looks like the picture before it was encoded, as SSIMULACRA2 scores it: 50 is a medium \
         quality, 70 a high one, and at 90 nobody sees a difference. The file is that of the lowest quality that scores so \
         much. The image fails as `unsatisfiable` where none does. Not with `quality` or `max_bytes`.",
        || range(&Ssim::RANGE),
    ),
];

fn boolean_schema() -> MetaSchema {
    MetaSchema::new("boolean")
}

fn range(range: &RangeInclusive<f32>) -> MetaSchema {
    // Through decimals, so that 0.3 is not written as 0.30000001.
    let bound = |value: &f32| value.to_string().parse().ok();
    MetaSchema {
        minimum: bound(range.start()),
        maximum: bound(range.end()),
        ..MetaSchema::new_with_format("number", "float")
    }
}

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
        read.recipe()
    }

    #[test]
    fn without_a_wish_the_standard_set_is_made() {
        assert_eq!(recipe(&[("title", "x"), ("width", "")]).unwrap(), Recipe::Standard);
    }

    fn wish(fields: &[(&'static str, &str)]) -> Resize {
        match recipe(fields) {
            Ok(Recipe::Resize(resize)) => resize,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_wish_makes_one_rendition() {
        let asked = Resize { format: Some(RenditionFormat::Webp), ..Resize::default() };
        assert_eq!(wish(&[("format", "webp")]), asked);
        assert_eq!(wish(&[("format", "auto")]), Resize::default());
        assert_eq!(wish(&[("flip", "false")]), Resize::default());
    }

    #[test]
    fn every_field_reaches_the_recipe() {
        let part = Crop { x: 10, y: 0, width: NonZeroU32::MIN, height: NonZeroU32::new(40).unwrap() };
        let size = [("width", "3"), ("height", "4"), ("fit", "cover")];
        assert_eq!(wish(&[size[0], size[1], size[2], ("position", "top-left")]).position, Position::TopLeft);
        assert_eq!(wish(&[("position", "attention"), size[0], size[1], size[2]]).position, Position::Attention);
        assert_eq!(wish(&[("crop", "10, 0,1,40")]).crop, Some(part));
        assert_eq!(wish(&[("rotate", "270")]).rotate, Some(Rotation::ThreeQuarters));
        assert!(wish(&[("flip", "true")]).flip && wish(&[("flop", "true")]).flop);
        assert!(wish(&[("grayscale", "true")]).grayscale && wish(&[("enlarge", "true")]).enlarge);
        assert_eq!(wish(&[("blur", "2.5")]).blur, Blur::new(2.5));
        assert_eq!(wish(&[("sharpen", "1")]).sharpen, Sharpen::new(1.0));
        assert_eq!(wish(&[("background", "#00ff00")]).background, Some(Colour([0, 255, 0])));
        let image = ImageId::now();
        let id = image.to_string();
        assert_eq!(wish(&[("overlay", &id)]).overlay, Some(Overlay::of(image)));
        let placed =
            [("overlay_position", "top"), ("overlay_scale", "1"), ("overlay", &*id), ("overlay_opacity", "0.5")];
        let overlay = wish(&[placed[0], placed[1], placed[2], placed[3], ("overlay_margin", "0")]).overlay.unwrap();
        assert_eq!((overlay.position, overlay.scale.get()), (Position::Top, 1.0));
        assert_eq!((overlay.opacity.get(), overlay.margin.get()), (0.5, 0.0));
        assert_eq!(wish(&[("effort", "best")]).effort, Effort::Best);
        assert_eq!(wish(&[("gamut", "p3")]).gamut, Gamut::P3);
        assert_eq!(wish(&[("keep", "copyright")]).keep, Keep::Copyright);
        assert_eq!(wish(&[("quality", "7")]).quality.get(), 7);
        assert_eq!(wish(&[("ssim", "72.5")]).ssim, Ssim::new(72.5));
    }

    #[test]
    fn a_searched_quality_may_be_the_highest_unless_it_is_bounded() {
        let by_bytes = wish(&[("max_bytes", "5000")]);
        assert_eq!((by_bytes.max_bytes, by_bytes.quality), (NonZeroU64::new(5000), Quality::MAX));
    }

    #[test]
    fn values_out_of_range_are_refused() {
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
            ("ssim", "-1"),
            ("ssim", "101"),
            ("title", "  "),
            ("lane", "a\nb"),
        ] {
            assert!(matches!(recipe(&[(name, text)]), Err(ApiError::Field { .. })), "{name}={text}");
        }
    }

    #[test]
    fn wishes_that_make_no_sense_together_are_refused() {
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
            assert!(matches!(recipe(fields), Err(ApiError::Field { .. })), "{fields:?}");
        }
    }

    #[test]
    fn unknown_and_repeated_fields_are_refused() {
        assert!(matches!(recipe(&[("widht", "1")]), Err(ApiError::Form(_))));
        assert!(matches!(recipe(&[("width", "1"), ("width", "1")]), Err(ApiError::Form(_))));
    }
}
