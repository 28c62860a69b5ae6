//! AVIF (AV1 Image File Format): AV1 by rav1d and rav1e.

mod av1;
pub(super) mod decode;
mod encode;
pub(super) mod planes;
pub(super) mod ycbcr;

use darkroom_container::{
    embed::{EmbedError, EmbeddedMetadata, embed_in_avif},
    header::Header,
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

/// Animations are not written: rav1e takes too long.
pub(super) const FEATURES: OutputFeatures = OutputFeatures {
    alpha: true,
    animation: false,
    lossless: false,
    colour: ColourSignal::CodePoints,
    exif: true,
    bits: 8,
    max_side: RenditionFormat::Avif.max_side(),
};

pub(super) struct AvifCodec;

impl Codec for AvifCodec {
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        decode::metadata(file)
    }

    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        decode::exif_block(file)
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        decode::decode(file, header).map(Decoded::from)
    }

    /// The decoder keeps planes of 16 bits beside the picture.
    fn decoder_bytes(&self, header: &Header) -> u64 {
        16 * header.frame_pixels()
    }

    fn encoder_bytes_per_pixel(&self, quality: Quality, _opaque: bool) -> u64 {
        if quality <= Quality::DEFAULT { 96 } else { 250 }
    }

    fn open_animation<'a>(
        &self,
        file: &'a [u8],
        header: &Header,
        _: Option<u64>,
    ) -> Result<Animation<'a>, RenderError> {
        decode::animation(file, header)
    }

    fn encode(&self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
        encode::encode(picture, quality, effort)
    }

    fn embed(&self, file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
        embed_in_avif(file, metadata)
    }
}
