//! File formats: one file or folder per format, behind one trait ([`codec::Codec`]), found through one table ([`registry`]).

mod avif;
mod bmp;
mod codec;
mod features;
mod frame_canvas;
mod gif;
mod image_crate;
mod jpeg;
mod jxl;
mod png;
mod registry;
mod tiff;
mod webp;

pub(crate) use codec::{AnimationEncoder, DecodeRequest, Decoded, Encoded, Metadata};
pub use features::{ColourSignal, OutputFeatures};
pub(crate) use registry::{decoder, encoder, output_features};

use darkroom_container::header::Header;
use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::Raster;

use crate::RenderError;

/// Decodes a still picture, or the first frame of an animation.
#[tracing::instrument(level = "trace", name = "decode", skip_all)]
pub(crate) fn decode(file: &[u8], header: &Header, request: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
    decoder(header.format).decode(file, header, request)
}

/// Encodes a picture of coded values with straight alpha. A format without alpha gets it composited on white. The file
/// has no metadata; [`darkroom_container::embed`] adds it afterwards.
#[tracing::instrument(level = "trace", name = "encode", skip_all, fields(%format))]
pub(crate) fn encode(
    picture: &Raster<u8>,
    format: RenditionFormat,
    quality: Quality,
    effort: Effort,
) -> Result<Encoded, RenderError> {
    let codec = encoder(format);
    let bytes = if output_features(format).alpha {
        codec.encode(picture, quality, effort)?
    } else {
        codec.encode(&picture.on_white(), quality, effort)?
    };
    Ok(Encoded { format, bytes })
}
