//! The table of recipe fields. From it come the form's parser and error messages, the `OpenAPI` schema, the table in
//! `docs/recipes.md` and the stored recipe.
//!
//! A row is: the name; the form's type, which has the range and the parser; an example; the description; and how the
//! recipe stores it. A stored field without a value in an old row has its default, so that every row keeps its meaning.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
};

use serde::{Deserialize, Serialize};

use super::{
    choices::{Effort, Fit, FormatOrAuto, Gamut, Keep, OverlayPosition, Position, Rotation},
    colour::Colour,
    crop::Crop,
    numbers::{Blur, Dimension, Margin, MaxBytes, Opacity, Quality, Scale, Sharpen, Ssim},
    overlay::Overlay,
    table::{FromForm, recipe_fields},
    value::{FormValue, ValueSchema},
};
use crate::{ImageId, RenditionFormat};

recipe_fields! {
    /// One rendition as a client requests it; [`Default`] keeps the source's size and content. A missing side follows
    /// from the other and the aspect ratio. [`super::RenditionRequest::validate`] makes it from a form and guarantees that the
    /// fields agree with each other.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Resize;

    width: Dimension, "1200",
        "Width of the rendition in pixels. This field and every field after it request exactly one rendition, named \
         `resized`; without any of them the standard set is rendered."
        => Option<NonZeroU32>;

    height: Dimension, "800",
        "Height of the rendition in pixels. If only one side is given, the other follows from the aspect ratio."
        => Option<NonZeroU32>;

    fit: Fit, "cover",
        "How the image is fitted into `width` and `height` (the box). `inside`: the whole image inside the box. `cover`: \
         the box is filled, the overflow is cropped. `contain`: the whole image inside the box, the rest of the box is \
         filled with `background`. `fill`: exactly the box, the aspect ratio is not kept. Default: `inside`."
        => Fit;

    position: Position, "top-left",
        "With `fit=cover`: which part of the image is kept; `attention` finds the most salient part, by edges, saturation \
         and skin colour. With `fit=contain`: where the image is placed in the box. Default: `centre`."
        => #[serde(default, skip_serializing_if = "is_default")] Position;

    enlarge: bool, "true",
        "Whether an image smaller than requested is enlarged. Default: `false`; the rendition is then smaller than \
         requested, except for the box of `fit=contain`. No rendition is enlarged beyond 32 million pixels, summed over \
         the frames of an animation."
        => #[serde(default, skip_serializing_if = "is_default")] bool;

    crop: Crop, "100,50,800,600",
        "The part of the image to use, as `x,y,width,height` in pixels of the upright image. The part outside the image is \
         ignored. All other fields apply to the cropped image."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Crop>;

    rotate: Rotation, "90",
        "Rotates the upright image clockwise by this many degrees. `width` and `height` are those after the rotation."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Rotation>;

    flip: bool, "true",
        "Whether the image is mirrored top to bottom, after the rotation. Default: `false`."
        => #[serde(default, skip_serializing_if = "is_default")] bool;

    flop: bool, "true",
        "Whether the image is mirrored left to right, after the rotation. Default: `false`."
        => #[serde(default, skip_serializing_if = "is_default")] bool;

    grayscale: bool, "true",
        "Whether the image is converted to grayscale, by the luminance of linear light. Default: `false`."
        => #[serde(default, skip_serializing_if = "is_default")] bool;

    blur: Blur, "1.5",
        "Gaussian blur with this standard deviation in pixels of the rendition, in linear light."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Blur>;

    sharpen: Sharpen, "0.5",
        "Unsharp mask of the lightness with this amount; 0.5 is gentle, 1 clearly visible. Hues are kept."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Sharpen>;

    background: Colour, "#ffffff",
        "The colour behind a transparent image and in the box of `fit=contain`: `#rrggbb` or `#rgb`, with or without the \
         `#`. Default: transparent; white in JPEG."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Colour>;

    overlay: ImageId, "01890a5d-ac96-774b-bcce-b302099a8057",
        "The id of another image to composite over this one, for example a watermark. It must be `ready`, and must still \
         exist when this image is rendered; otherwise this image fails as `unsatisfiable`. The first frame of an animation \
         is used. Effects do not apply to it."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Overlay>;

    overlay_position: OverlayPosition, "top",
        "Where the overlay is placed. Default: `bottom-right`.";

    overlay_scale: Scale, "0.25",
        "The box that the overlay is fitted into, as a fraction of the rendition's width and height. The aspect ratio is \
         kept, and an overlay is never enlarged. Default: 0.25.";

    overlay_opacity: Opacity, "0.5",
        "The opacity of the overlay, from 0 (invisible) to 1 (opaque). Default: 1.";

    overlay_margin: Margin, "0.05",
        "The free space between the overlay and the edges, as a fraction of the rendition's shorter side. Default: 0.02.";

    effort: Effort, "best",
        "The trade-off between encoding time (`speed`) and file size (`best`). The quality is the same, except that \
         `speed` loses a little. Default: `balanced`."
        => #[serde(default, skip_serializing_if = "is_default")] Effort;

    gamut: Gamut, "p3",
        "The colour gamut of the rendition. `p3`: a source outside sRGB is kept in Display P3, and the file is labelled as \
         such; sRGB, grayscale and high-dynamic-range sources stay in sRGB. Default: `srgb`."
        => #[serde(default, skip_serializing_if = "is_default")] Gamut;

    keep: Keep, "copyright",
        "The metadata of the source that is kept, as EXIF. `copyright`: artist and copyright. `public`: also title, time, \
         camera, lens, software and exposure. Locations, serial numbers, owners' names, previews and maker notes are never \
         kept. Default: `nothing`."
        => #[serde(default, skip_serializing_if = "is_default")] Keep;

    format: FormatOrAuto, "webp",
        "The format of the rendition. `auto` chooses the smallest of WebP, JPEG and PNG that can represent the image. AVIF \
         is about a tenth smaller than WebP and takes about six times as long; `auto` never chooses it. Default: `auto`."
        => Option<RenditionFormat>;

    quality: Quality, "80",
        "Quality of the encoding, from 1 (smallest file) to 100 (best image). Default: 80. With `max_bytes`: the highest \
         quality that is tried; default: 100."
        => Quality;

    max_bytes: MaxBytes, "200000",
        "The maximum size of the file in bytes; the highest quality that stays within it is used. The image fails as \
         `unsatisfiable` if the file is larger even at the lowest quality."
        => #[serde(default, skip_serializing_if = "is_default")] Option<NonZeroU64>;

    ssim: Ssim, "70",
        "The minimum SSIMULACRA2 score of the rendition, its perceived similarity to the unencoded pixels: 50 is medium \
         quality, 70 high, and from 90 on the difference is invisible. The lowest quality that reaches it is used. The \
         image fails as `unsatisfiable` if none does. Cannot be combined with `quality` or `max_bytes`."
        => #[serde(default, skip_serializing_if = "is_default")] Option<Ssim>;
}

/// A field of the upload form that requests a rendition: its name, its meaning and its values.
pub struct Field {
    /// The name in the form.
    pub name: &'static str,
    /// The meaning for clients, in Markdown, with the default.
    pub description: &'static str,
    /// A valid value.
    pub example: &'static str,
    pub(super) schema: fn() -> ValueSchema,
    /// Parses a value into the request; `false` if it is not valid.
    pub(super) set: fn(&mut RenditionRequest, &str) -> bool,
}

impl Field {
    /// The values that the field accepts.
    pub fn schema(&self) -> ValueSchema {
        (self.schema)()
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("name", &self.name).field("schema", &self.schema()).finish_non_exhaustive()
    }
}

impl FromForm<ImageId> for Option<Overlay> {
    fn from_form(image: Option<ImageId>) -> Self {
        image.map(Overlay::of)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
