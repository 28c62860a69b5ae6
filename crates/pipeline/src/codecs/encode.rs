//! From pixels to a file, one format a file. No metadata is written: what a file is to say beside its pixels is put into it
//! afterwards, by `label`.

use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};

pub(crate) use crate::codecs::webp::encode::Animation;
use darkroom_raster::Raster;

use crate::{
    RenderError,
    codecs::{avif, png, webp},
};

/// A file, and what it is encoded as.
pub(crate) type Encoded = (RenditionFormat, Vec<u8>);

/// Encodes a picture without loss where the format's highest quality is lossy and it has another way; `None` elsewhere.
pub(crate) fn lossless(picture: &Raster<u8>, format: RenditionFormat) -> Result<Option<Vec<u8>>, RenderError> {
    match format {
        RenditionFormat::Webp => webp::encode::lossless(picture).map(Some),
        RenditionFormat::Jpeg | RenditionFormat::Png | RenditionFormat::Avif => Ok(None),
    }
}

/// Encodes a picture. Where the format has no transparency, it is laid on white.
#[tracing::instrument(level = "trace", name = "encode", skip_all, fields(%format))]
pub(crate) fn encode(
    picture: &Raster<u8>,
    format: RenditionFormat,
    quality: Quality,
    effort: Effort,
) -> Result<Vec<u8>, RenderError> {
    match format {
        RenditionFormat::Jpeg => {
            darkroom_jpeg::encode(&picture.flatten_on_white(), quality, effort).map_err(RenderError::bug)
        }
        RenditionFormat::Png => png::encode::encode(picture, quality, effort),
        RenditionFormat::Webp => webp::encode::encode(picture, quality, effort),
        RenditionFormat::Avif => avif::encode::encode(picture, quality, effort),
    }
}
