//! WebP (RFC 9649): our own encoder for lossy pictures without alpha, libwebp for all else.

mod decode;
mod encode;

use darkroom_container::{
    embed::{EmbedError, EmbeddedMetadata, embed_in_webp},
    header::Header,
    webp_chunks,
};
use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::Raster;

use super::{
    codec::{Animation, AnimationEncoder, Codec, DecodeRequest, Decoded, Metadata, lossy_encoder_bytes},
    features::{ColourSignal, OutputFeatures},
};
use crate::RenderError;

pub(super) const FEATURES: OutputFeatures = OutputFeatures {
    alpha: true,
    animation: true,
    lossless: true,
    colour: ColourSignal::Icc,
    exif: true,
    bits: 8,
    max_side: RenditionFormat::Webp.max_side(),
};

pub(super) struct WebpCodec;

impl Codec for WebpCodec {
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        Ok(decode::metadata(file))
    }

    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        webp_chunks::exif(file).map(<[u8]>::to_vec)
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

    /// With alpha there are two pictures to encode.
    fn encoder_bytes_per_pixel(&self, quality: Quality, opaque: bool) -> u64 {
        lossy_encoder_bytes(quality) * if opaque { 1 } else { 2 }
    }

    fn encode(&self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
        encode::encode(picture, quality, effort)
    }

    fn embed(&self, file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
        embed_in_webp(file, metadata)
    }

    fn encode_lossless(&self, picture: &Raster<u8>) -> Result<Option<Vec<u8>>, RenderError> {
        encode::lossless(picture).map(Some)
    }

    fn start_animation(
        &self,
        size: (u32, u32),
        plays: u32,
        quality: Quality,
        effort: Effort,
    ) -> Result<Box<dyn AnimationEncoder>, RenderError> {
        Ok(Box::new(encode::WebpAnimation::new(size, plays, quality, effort)?))
    }
}
