//! How much a file looks like the picture it was made of: SSIMULACRA2, by fast-ssim2.

use std::io::Cursor;

use darkroom_container::header::{self, HeaderLimits};
use fast_ssim2::{PixelBuffer, PixelDescriptor, Ssimulacra2Config};

use darkroom_raster::{Channels, Raster, Samples};

use crate::{
    RenderError,
    codecs::{self, Metadata},
};

/// Rows that are compared at a time: memory stays small, for two thirds more time than with all at once.
const ROWS: usize = 256;

/// No limits: the file is our own.
const ANY: HeaderLimits =
    HeaderLimits { width: u32::MAX, height: u32::MAX, pixels: u64::MAX, frames: u32::MAX, scans: u32::MAX };

/// The score of a file that was encoded from `picture`: 100 if it shows the same, less and less, below zero too, the more
/// it differs. What is transparent is compared on dark and on light, and the worse score counts. Coded values are
/// compared, whatever colours they mean. The same on every machine.
pub(crate) fn score(picture: &Raster<u8>, file: &[u8]) -> Result<f64, RenderError> {
    let header = header::read(&mut Cursor::new(file), &ANY)?;
    let whole = (header.width.into(), header.height.into());
    let decoded = codecs::still(file, &header, &Metadata::default(), whole, ANY.scans)?;
    let Samples::Eight(shown) = decoded.samples else { return Err(RenderError::bug("a rendition has 8 bits")) };
    let transparent = picture.channels.has_alpha() || shown.channels.has_alpha();
    let (picture, shown) = (pixels(picture, transparent)?, pixels(&shown, transparent)?);
    let config = Ssimulacra2Config::strips(ROWS);
    fast_ssim2::compute_ssimulacra2_with_config(&picture.as_slice(), &shown.as_slice(), &config)
        .map_err(RenderError::bug)
}

fn pixels(picture: &Raster<u8>, transparent: bool) -> Result<PixelBuffer, RenderError> {
    let (samples, kind) = if transparent {
        (picture.to_rgba(), PixelDescriptor::RGBA8_SRGB)
    } else {
        (picture.to_channels(Channels::Rgb).samples, PixelDescriptor::RGB8_SRGB)
    };
    PixelBuffer::from_vec(samples, picture.width, picture.height, kind).map_err(RenderError::bug)
}
