//! PNG and APNG (W3C PNG, third edition).

mod decode;
mod encode;

use darkroom_container::{
    embed::{EmbedError, EmbeddedMetadata, embed_in_png},
    header::Header,
    png_chunks,
};
use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::Raster;

use super::{
    codec::{Animation, Codec, DecodeRequest, Decoded, Metadata},
    features::{ColourSignal, OutputFeatures},
};
use crate::RenderError;

/// Animations are not written: WebP's are smaller.
pub(super) const FEATURES: OutputFeatures = OutputFeatures {
    alpha: true,
    animation: false,
    lossless: true,
    colour: ColourSignal::Icc,
    exif: true,
    bits: 8,
    max_side: RenditionFormat::Png.max_side(),
};

pub(super) struct PngCodec;

impl Codec for PngCodec {
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        decode::metadata(file)
    }

    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        png_chunks::exif(file).map(<[u8]>::to_vec)
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        decode::decode(file, header).map(Decoded::from)
    }

    fn open_animation<'a>(
        &self,
        file: &'a [u8],
        header: &Header,
        _: Option<u64>,
    ) -> Result<Animation<'a>, RenderError> {
        decode::animation(file, header)
    }

    /// The palette of noise has as many colours as pixels, and is computed in floating point.
    fn encoder_bytes_per_pixel(&self, quality: Quality, opaque: bool) -> u64 {
        match (quality == Quality::MAX, opaque) {
            (true, _) => 52,
            (false, true) => 100,
            (false, false) => 128,
        }
    }

    fn encode(&self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
        encode::encode(picture, quality, effort)
    }

    fn embed(&self, file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
        embed_in_png(file, metadata)
    }
}
