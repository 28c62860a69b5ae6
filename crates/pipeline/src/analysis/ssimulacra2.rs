//! SSIMULACRA2, a perceptual quality score, by fast-ssim2.

use std::io::Cursor;

use darkroom_container::header::{self, HeaderLimits};
use fast_ssim2::{PixelBuffer, PixelDescriptor, Ssimulacra2Config};

use darkroom_raster::{Channels, Raster, Samples};

use crate::{
    RenderError,
    codecs::{self, DecodeRequest, Metadata},
};

/// Rows that are compared at a time. This bounds memory, and takes two thirds more time than all rows at once.
const STRIP_ROWS: usize = 256;

/// No limits: the file is our own.
const UNLIMITED: HeaderLimits =
    HeaderLimits { width: u32::MAX, height: u32::MAX, pixels: u64::MAX, frames: u32::MAX, scans: u32::MAX };

/// The score of a file that was encoded from `picture`: 100 for an identical picture, lower (also below zero) the more it
/// differs. Transparent pictures are compared on dark and on light, and the lower score counts. Coded values are compared as
/// sRGB, whatever their gamut. The score is the same on every machine.
pub(crate) fn score(picture: &Raster<u8>, file: &[u8]) -> Result<f64, RenderError> {
    let header = header::read(&mut Cursor::new(file), &UNLIMITED)?;
    let request = DecodeRequest {
        metadata: &Metadata::default(),
        at_least: (header.width.into(), header.height.into()),
        max_scans: UNLIMITED.scans,
        max_memory: None,
    };
    let decoded = codecs::decode(file, &header, &request)?;
    let Samples::Eight(shown) = decoded.samples else {
        return Err(RenderError::internal("a rendition has more than 8 bits"));
    };
    let transparent = picture.channels.has_alpha() || shown.channels.has_alpha();
    let (picture, shown) = (pixels(picture, transparent)?, pixels(&shown, transparent)?);
    let config = Ssimulacra2Config::strips(STRIP_ROWS);
    fast_ssim2::compute_ssimulacra2_with_config(&picture.as_slice(), &shown.as_slice(), &config)
        .map_err(RenderError::internal)
}

fn pixels(picture: &Raster<u8>, transparent: bool) -> Result<PixelBuffer, RenderError> {
    let (samples, kind) = if transparent {
        (picture.to_rgba(), PixelDescriptor::RGBA8_SRGB)
    } else {
        (picture.to_channels(Channels::Rgb).samples, PixelDescriptor::RGB8_SRGB)
    };
    PixelBuffer::from_vec(samples, picture.width, picture.height, kind).map_err(RenderError::internal)
}
