//! Formats that the `image` crate reads well: TIFF and BMP.

use darkroom_raster::Orientation;
use std::io::Cursor;

use darkroom_container::header::Header;
use darkroom_model::{Failure, FailureCode};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageError, Limits,
    codecs::{bmp::BmpDecoder, tiff::TiffDecoder},
    error::LimitErrorKind,
};

use darkroom_container::exif;
use darkroom_raster::{Channels, Raster, Samples};

use crate::{
    RenderError,
    codecs::{Metadata, check_size},
    colour::{MAX_PROFILE, Space},
};

/// What a decoder may allocate beside the pixels, in bytes.
const BESIDE: u64 = 64 << 20;

fn fault(format: &'static str, error: ImageError) -> RenderError {
    match error {
        ImageError::Unsupported(error) => {
            let detail = format!("This is a {format} of an unusual kind, which is not read.");
            let failure = Failure { code: FailureCode::UnsupportedFormat, detail };
            RenderError::Faulty { failure, cause: error.to_string() }
        }
        ImageError::IoError(error) => RenderError::truncated(format, error),
        ImageError::Limits(error) if matches!(error.kind(), LimitErrorKind::InsufficientMemory) => {
            RenderError::broken(format, error)
        }
        error => RenderError::broken(format, error),
    }
}

fn tiff(bytes: &[u8]) -> Result<TiffDecoder<Cursor<&[u8]>>, RenderError> {
    TiffDecoder::new(Cursor::new(bytes)).map_err(|error| fault("TIFF", error))
}

/// A TIFF is what EXIF is written in: the orientation stands in the same place.
pub(super) fn tiff_metadata(bytes: &[u8]) -> Result<Metadata, RenderError> {
    let mut decoder = tiff(bytes)?;
    // The decoder makes RGB of CMYK by the plain product: then the profile is not that of the pixels.
    let cmyk = matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16);
    let profile = decoder.icc_profile().ok().flatten().filter(|p| !cmyk && !p.is_empty() && p.len() <= MAX_PROFILE);
    let space = profile.map_or(Space::Srgb, Space::Icc);
    Ok(Metadata { orientation: Orientation::from_tag(exif::orientation(bytes)), space, ..Metadata::default() })
}

pub(super) fn decode_tiff(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    let samples = decode(tiff(bytes)?, header, "TIFF")?;
    Ok(if exif::has_premultiplied_alpha(bytes) { samples.unpremultiplied() } else { samples })
}

pub(super) fn decode_bmp(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|error| fault("BMP", error))?;
    decode(decoder, header, "BMP")
}

fn decode(mut decoder: impl ImageDecoder, header: &Header, format: &'static str) -> Result<Samples, RenderError> {
    check_size(header, decoder.dimensions(), format)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(header.pixels() * 16 + BESIDE);
    decoder.set_limits(limits).map_err(|error| fault(format, error))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| fault(format, error))?;
    let (width, height) = (header.width, header.height);
    let eight = |channels, samples| Samples::Eight(Raster { width, height, channels, samples });
    let sixteen = |channels, samples| Samples::Sixteen(Raster { width, height, channels, samples });
    Ok(match picture {
        DynamicImage::ImageLuma8(picture) => eight(Channels::Gray, picture.into_raw()),
        DynamicImage::ImageLumaA8(picture) => eight(Channels::GrayAlpha, picture.into_raw()),
        DynamicImage::ImageRgb8(picture) => eight(Channels::Rgb, picture.into_raw()),
        DynamicImage::ImageRgba8(picture) => eight(Channels::Rgba, picture.into_raw()),
        DynamicImage::ImageLuma16(picture) => sixteen(Channels::Gray, picture.into_raw()),
        DynamicImage::ImageLumaA16(picture) => sixteen(Channels::GrayAlpha, picture.into_raw()),
        DynamicImage::ImageRgba16(picture) => sixteen(Channels::Rgba, picture.into_raw()),
        DynamicImage::ImageRgba32F(_) => sixteen(Channels::Rgba, picture.into_rgba16().into_raw()),
        picture => sixteen(Channels::Rgb, picture.into_rgb16().into_raw()),
    })
}
