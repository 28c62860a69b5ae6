//! JPEG: a decoder of our own where it is made smaller, and libjpeg, which reads what the world's cameras and editors
//! write.

mod libjpeg;
mod libjpeg_errors;
#[cfg(test)]
mod tests;

use darkroom_container::header::Header;
use darkroom_container::jpeg_segments;

use darkroom_container::exif;
use darkroom_raster::{Orientation, Samples};

use crate::{
    RenderError,
    codecs::{Metadata, Still},
    colour::{MAX_PROFILE, Space},
};

/// By the first EXIF segment.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    jpeg_segments::exif(bytes).map(exif::orientation).map(Orientation::from_tag).unwrap_or_default()
}

/// Reads the orientation and the ICC profile, which may be spread over segments (ICC.1:2022, annex B.4).
pub(super) fn metadata(bytes: &[u8]) -> Metadata {
    let profile = jpeg_segments::icc_profile(bytes, MAX_PROFILE);
    Metadata { orientation: orientation(bytes), space: profile.map_or(Space::Srgb, Space::Icc), ..Metadata::default() }
}

/// Decodes, at a few eighths of the size where that is still `at_least` so large.
pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    metadata: &Metadata,
    at_least: (f64, f64),
    scans: u32,
) -> Result<Still, RenderError> {
    let sides = |eighths| (side(header.width, eighths), side(header.height, eighths));
    let few = (1..=4).find(|eighths| {
        let (width, height) = sides(*eighths);
        width >= at_least.0 && height >= at_least.1
    });
    let reduced = few.and_then(|eighths| {
        Some((darkroom_jpeg::decode_reduced(bytes, (header.width, header.height), eighths)?, eighths))
    });
    let (raster, eighths) = if let Some(reduced) = reduced {
        reduced
    } else {
        // It has no vector code for three.
        let eighths = few.map_or(8, u32::next_power_of_two);
        let profile = if let Space::Icc(profile) = &metadata.space { Some(profile.as_slice()) } else { None };
        (libjpeg::decode(bytes, header, profile, eighths, scans)?, eighths)
    };
    Ok(Still { samples: Samples::Eight(raster), extent: sides(eighths) })
}

/// A side at so many eighths: exactly, where the last sample is of less than there is beside it.
fn side(length: u32, eighths: u32) -> f64 {
    f64::from(length) * f64::from(eighths) / 8.0
}
