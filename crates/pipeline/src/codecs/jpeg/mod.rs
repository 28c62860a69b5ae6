//! JPEG (ITU-T T.81): decoded by `darkroom_jpeg` where at most half of the size is needed, else by libjpeg (mozjpeg), which
//! reads every kind; encoded by `darkroom_jpeg`.

pub(super) mod libjpeg;
mod libjpeg_errors;
#[cfg(test)]
mod tests;

use darkroom_container::{
    embed::{EmbedError, EmbeddedMetadata, embed_in_jpeg},
    exif,
    header::Header,
    jpeg_segments,
};
use darkroom_jpeg::NotReduced;
use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::{Orientation, Raster, Samples};

use super::{
    codec::{Codec, DecodeRequest, Decoded, Metadata, lossy_encoder_bytes},
    features::{ColourSignal, OutputFeatures},
};
use crate::{
    RenderError,
    colour::{ColourSpace, MAX_PROFILE},
};

pub(super) const FEATURES: OutputFeatures = OutputFeatures {
    alpha: false,
    animation: false,
    lossless: false,
    colour: ColourSignal::Icc,
    exif: true,
    bits: 8,
    max_side: RenditionFormat::Jpeg.max_side(),
};

pub(super) struct JpegCodec;

impl Codec for JpegCodec {
    /// The ICC profile may be split over segments (ICC.1:2022, annex B.4).
    fn metadata(&self, file: &[u8], header: &Header) -> Result<Metadata, RenderError> {
        let profile = jpeg_segments::icc_profile(file, MAX_PROFILE);
        // The decoder converts CMYK to sRGB, which no profile describes then.
        let (cmyk_profile, profile) = if header.bits_per_pixel == 32 { (profile, None) } else { (None, profile) };
        Ok(Metadata {
            orientation: orientation(file),
            colour_space: profile.map_or(ColourSpace::Srgb, ColourSpace::Icc),
            cmyk_profile,
            lossy_format: Some(RenditionFormat::Jpeg),
            has_block_artefacts: true,
        })
    }

    fn quick_orientation(&self, file: &[u8]) -> Option<Orientation> {
        Some(orientation(file))
    }

    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        jpeg_segments::exif(file).map(<[u8]>::to_vec)
    }

    /// Decodes at the smallest number of eighths of the size that is at least as large as requested.
    fn decode(&self, file: &[u8], header: &Header, request: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let extent = |eighths| (scaled(header.width, eighths), scaled(header.height, eighths));
        let reduced_eighths = (1..=4).find(|eighths| {
            let (width, height) = extent(*eighths);
            width >= request.at_least.0 && height >= request.at_least.1
        });
        let size = (header.width, header.height);
        let reduced = reduced_eighths.map(|eighths| (darkroom_jpeg::decode_reduced(file, size, eighths), eighths));
        let (raster, eighths) = match reduced {
            Some((Ok(raster), eighths)) => (raster, eighths),
            reduced => {
                let eighths = match reduced {
                    // libjpeg has no SIMD code for three eighths: four are faster.
                    Some((Err(NotReduced::Unsupported), eighths)) => eighths.next_power_of_two(),
                    _ => 8,
                };
                let profile = request.metadata.cmyk_profile.as_deref();
                (libjpeg::decode(file, header, profile, eighths, request.max_scans)?, eighths)
            }
        };
        Ok(Decoded { samples: Samples::Eight(raster), extent: extent(eighths) })
    }

    fn decoder_bytes(&self, header: &Header) -> u64 {
        // A progressive JPEG is decoded from all its coefficients, 16 bits each, whatever its subsampling.
        let coefficients = if header.scans > 1 { 2 * header.decoded_bytes() } else { 0 };
        header.frame_pixels() + coefficients
    }

    fn encoder_bytes_per_pixel(&self, quality: Quality, _opaque: bool) -> u64 {
        lossy_encoder_bytes(quality)
    }

    fn encode(&self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
        darkroom_jpeg::encode(picture, quality, effort).map_err(RenderError::internal)
    }

    fn embed(&self, file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
        embed_in_jpeg(file, metadata)
    }
}

/// From the first EXIF segment.
fn orientation(file: &[u8]) -> Orientation {
    jpeg_segments::exif(file).map(exif::orientation).map(Orientation::from_tag).unwrap_or_default()
}

/// The exact length of a side at `eighths` of the size: the last sample may be partly covered.
fn scaled(length: u32, eighths: u32) -> f64 {
    f64::from(length) * f64::from(eighths) / 8.0
}
