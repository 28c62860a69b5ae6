//! From pixels to a file.

use darkroom_model::recipe::{Effort, Quality};
use darkroom_raster::{Raster, simd::dispatch};

use crate::{frame::FrameEncoder, planes::Planes, tuning::Tuning};

/// The longest side, in pixels: VP8 has 14 bits (RFC 6386, section 9.1).
const MAX_SIDE: u32 = (1 << 14) - 1;

/// Why a picture cannot be encoded as lossy WebP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// VP8 has no alpha channel; WebP has it in a chunk of its own, which this encoder does not write.
    #[error("lossy WebP with alpha is not supported")]
    Alpha,
    /// A picture without pixels.
    #[error("the picture has no pixels")]
    Empty,
    /// A side is longer than 16,383 pixels.
    #[error("a WebP has at most 16,383 pixels a side")]
    TooLarge,
}

/// Encodes a gray or RGB picture, in sRGB or any other RGB space, as lossy WebP.
///
/// The same input gives the same bytes on every processor.
pub fn encode(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, EncodeError> {
    let size = checked_size(picture)?;
    let planes = Planes::from_raster(picture);
    let tuning = Tuning::new(effort);
    let encoder =
        FrameEncoder { planes: &planes, size, step: quantization_step(quality), tuning: &tuning, reconstruction: None };
    dispatch(encoder).ok_or(EncodeError::TooLarge)
}

fn checked_size(picture: &Raster<u8>) -> Result<(u16, u16), EncodeError> {
    if picture.channels.has_alpha() {
        return Err(EncodeError::Alpha);
    }
    if picture.width == 0 || picture.height == 0 {
        return Err(EncodeError::Empty);
    }
    let side = |length: u32| match u16::try_from(length) {
        Ok(length) if u32::from(length) <= MAX_SIDE => Ok(length),
        _ => Err(EncodeError::TooLarge),
    };
    Ok((side(picture.width)?, side(picture.height)?))
}

/// The quantization step of mean contrast, in 256ths. Photographs have about as many bytes as from libwebp at the quality that
/// Darkroom used to ask of it for the same number, and one or two points of SSIMULACRA2 more.
fn quantization_step(quality: Quality) -> i32 {
    // Steps at qualities 0, 10, …, 100.
    const STEPS: [i32; 11] = [284, 130, 92, 72, 58, 48, 40, 33, 25, 14, 4];
    let quality = usize::from(quality.get());
    let (low, part) = (quality / 10, i32::try_from(quality % 10).unwrap_or(0));
    let next = STEPS[(low + 1).min(10)];
    (STEPS[low] * (10 - part) + next * part) * 256 / 10
}

#[cfg(test)]
mod tests;
