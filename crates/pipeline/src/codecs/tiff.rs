//! TIFF (revision 6.0), its first picture, through the `image` crate.

use std::io::Cursor;

use darkroom_container::{exif, header::Header};
use darkroom_raster::Orientation;
use image::{ExtendedColorType, ImageDecoder as _, codecs::tiff::TiffDecoder};

use super::{
    codec::{Codec, DecodeRequest, Decoded, Metadata},
    image_crate,
};
use crate::{
    RenderError,
    colour::{ColourSpace, MAX_PROFILE},
};

pub(super) struct TiffCodec;

fn open(file: &[u8]) -> Result<TiffDecoder<Cursor<&[u8]>>, RenderError> {
    TiffDecoder::new(Cursor::new(file)).map_err(|error| image_crate::decode_error("TIFF", error))
}

impl Codec for TiffCodec {
    /// EXIF is a TIFF structure, so the orientation tag of the file is read as EXIF's is.
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        let mut decoder = open(file)?;
        // The decoder converts CMYK to RGB by the plain product of ink and black, so a CMYK profile does not describe its
        // output.
        let cmyk = matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16);
        let profile = decoder.icc_profile().ok().flatten().filter(|p| !cmyk && !p.is_empty() && p.len() <= MAX_PROFILE);
        Ok(Metadata {
            orientation: Orientation::from_tag(exif::orientation(file)),
            colour_space: profile.map_or(ColourSpace::Srgb, ColourSpace::Icc),
            ..Metadata::default()
        })
    }

    /// The whole file: its directory holds the same tags as an EXIF block.
    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        Some(file.to_vec())
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let samples = image_crate::decode(open(file)?, header, "TIFF")?;
        Ok(if exif::has_premultiplied_alpha(file) { samples.unpremultiplied() } else { samples }.into())
    }
}
