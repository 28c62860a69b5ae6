//! BMP (Windows bitmap), through the `image` crate.

use std::io::Cursor;

use darkroom_container::header::Header;
use image::codecs::bmp::BmpDecoder;

use super::{
    codec::{Codec, DecodeRequest, Decoded, Metadata},
    image_crate,
};
use crate::RenderError;

pub(super) struct BmpCodec;

impl Codec for BmpCodec {
    /// Nothing: the decoder ignores the colour space of the later headers, as most readers do.
    fn metadata(&self, _: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        Ok(Metadata::default())
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let decoder = BmpDecoder::new(Cursor::new(file)).map_err(|error| image_crate::decode_error("BMP", error))?;
        image_crate::decode(decoder, header, "BMP").map(Decoded::from)
    }
}
