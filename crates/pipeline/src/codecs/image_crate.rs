//! From the decoders of the `image` crate to [`Samples`], within the limits of the header.

use darkroom_container::header::Header;
use darkroom_raster::{Channels, Raster, Samples};
use image::{DynamicImage, ImageDecoder, ImageError, Limits};

use super::codec::check_size;
use crate::RenderError;

/// What a decoder may allocate besides 16 bytes per pixel, in bytes.
const BASE_ALLOCATION: u64 = 64 << 20;

/// `format` is the format's name in the text for the uploader.
pub(super) fn decode_error(format: &'static str, error: ImageError) -> RenderError {
    match error {
        ImageError::Unsupported(error) => {
            RenderError::unsupported(format!("This is a {format} of an unusual kind, which is not read."), error)
        }
        ImageError::IoError(error) => RenderError::truncated(format, error),
        error => RenderError::damaged(format, error),
    }
}

/// Decodes to 8 bits per channel where the file has no more, and to 16 elsewhere.
pub(super) fn decode(
    mut decoder: impl ImageDecoder,
    header: &Header,
    format: &'static str,
) -> Result<Samples, RenderError> {
    check_size(header, decoder.dimensions(), format)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(header.pixels() * 16 + BASE_ALLOCATION);
    decoder.set_limits(limits).map_err(|error| decode_error(format, error))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| decode_error(format, error))?;
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
