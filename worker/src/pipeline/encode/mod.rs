//! From pixels to a file, one format a file. No metadata is written: what a file is to say beside its pixels is put into it
//! afterwards, by `label`.

pub(crate) mod avif;
mod jpeg;
mod png;
mod webp;

use darkroom_shared::image::{Effort, Quality, RenditionFormat};

pub(crate) use self::webp::Animation;
use super::{RenderError, raster::Raster};

/// A file, and what it is encoded as.
pub(crate) type Encoded = (RenditionFormat, Vec<u8>);

/// Encodes a picture without loss where the format's highest quality is lossy and it has another way; `None` elsewhere.
pub(crate) fn lossless(picture: &Raster<u8>, format: RenditionFormat) -> Result<Option<Vec<u8>>, RenderError> {
    match format {
        RenditionFormat::Webp => webp::lossless(picture).map(Some),
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
        RenditionFormat::Jpeg => jpeg::encode(&picture.on_white(), quality, effort),
        RenditionFormat::Png => png::encode(picture, quality, effort),
        RenditionFormat::Webp => webp::encode(picture, quality, effort),
        RenditionFormat::Avif => avif::encode(picture, quality, effort),
    }
}
