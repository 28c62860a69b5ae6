//! A progressive JPEG encoder with Huffman tables optimized for each scan.
//!
//! The stages in their order: [`component`] runs [`colour_conversion`], the DCT ([`fdct`]) and [`quantization`], with the
//! optional [`trellis`] optimization, MCU row by MCU row. Then each scan is coded: [`dc_scan`] and [`ac_scan`] turn
//! coefficients into [`symbols`], [`huffman`] makes the shortest codes for these, and [`marker_segments`] writes the tables
//! and headers.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

mod ac_scan;
mod block;
mod colour_conversion;
mod component;
mod dc_scan;
mod fdct;
pub(crate) mod huffman;
mod marker_segments;
mod quantization;
mod symbols;
mod trellis;

use darkroom_container::jpeg_marker;
use darkroom_model::recipe::{Effort, Quality};
use darkroom_raster::{
    Raster,
    simd::{SimdKernel, dispatch},
};

use self::{component::quantized_components, quantization::Quantizer, symbols::ScanSymbols};

/// From this quality on, chroma is not subsampled: subsampling would be the largest error left.
const MIN_QUALITY_OF_FULL_CHROMA: u8 = 90;

/// Why a picture cannot be encoded as JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// JPEG has no alpha channel.
    #[error("JPEG has no alpha channel")]
    Alpha,
    /// A side is longer than 65,535 pixels (T.81, section B.2.2).
    #[error("a JPEG has at most 65,535 pixels a side")]
    TooLarge,
}

/// Encodes a gray or RGB picture, in sRGB or any other RGB space, as a progressive JPEG (JFIF).
///
/// A picture with [`Channels::Gray`](darkroom_raster::Channels::Gray) gives one component, an RGB picture YCbCr. Chroma is
/// subsampled 2×2 below a quality of 90. `effort` selects the number of scans and trellis quantization. The same input gives
/// the same bytes on every processor.
pub fn encode(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, EncodeError> {
    if picture.channels.has_alpha() {
        return Err(EncodeError::Alpha);
    }
    let side = |length: u32| u16::try_from(length).map_err(|_| EncodeError::TooLarge);
    let size = (side(picture.width)?, side(picture.height)?);
    Ok(dispatch(PictureEncoder { picture, size, quality, effort }))
}

/// Encodes a picture to the bytes of a file.
struct PictureEncoder<'a> {
    picture: &'a Raster<u8>,
    /// Width and height in pixels.
    size: (u16, u16),
    quality: Quality,
    effort: Effort,
}

impl SimdKernel for PictureEncoder<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let quantizers = Quantizer::for_luma_and_chroma(self.quality, self.effort);
        let subsample_chroma = self.quality.get() < MIN_QUALITY_OF_FULL_CHROMA;
        let components = quantized_components(self.picture, subsample_chroma, &quantizers);
        let mut file = marker_segments::start_of_file(self.size, &components, &quantizers);
        let mut symbols = ScanSymbols::new();
        dc_scan::encode(&components, &mut symbols);
        marker_segments::write_scan(&mut file, &symbols, &[1, 2, 3][..components.len()], 0, 0);
        for (identifier, ss, se) in self.ac_scans() {
            if let Some(component) = components.get(usize::from(*identifier) - 1) {
                ac_scan::encode(component, *ss, *se, &mut symbols);
                marker_segments::write_scan(&mut file, &symbols, &[*identifier], *ss, *se);
            }
        }
        file.extend([0xFF, jpeg_marker::EOI]);
        file
    }
}

impl PictureEncoder<'_> {
    /// The scans after the DC scan, which already shows the picture: component identifier and spectral selection Ss, Se.
    fn ac_scans(&self) -> &'static [(u8, u8, u8)] {
        match self.effort {
            Effort::Speed => &[(1, 1, 63), (2, 1, 63), (3, 1, 63)],
            // Low luma frequencies first: viewers show a better picture earlier, and each band gets its own Huffman table.
            Effort::Balanced | Effort::Best => &[(1, 1, 2), (1, 3, 63), (2, 1, 63), (3, 1, 63)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_raster::Channels;

    #[test]
    fn every_vector_width_gives_the_same_file() {
        let samples = (0..75 * 53 * 3_u32).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
        let picture = &Raster { width: 75, height: 53, channels: Channels::Rgb, samples };
        for (quality, effort) in [(80, Effort::Balanced), (95, Effort::Best), (30, Effort::Best)] {
            let encoder =
                || PictureEncoder { picture, size: (75, 53), quality: Quality::new(quality).unwrap(), effort };
            assert!(dispatch(encoder()) == encoder().run(), "{quality}");
        }
    }
}
