//! JPEG: a decoder of our own where it is made smaller, and libjpeg, which reads what the world's cameras and editors
//! write.

mod faults;
mod libjpeg;
mod reduced;

use darkroom_shared::header::Header;

use super::{Metadata, Samples, Still, check_size, exif};
use crate::pipeline::{
    RenderError,
    colour::{MAX_PROFILE, Space},
    orient::Orientation,
};

/// What JPEG puts before EXIF.
const EXIF: &[u8] = b"Exif\0\0";

/// What Photoshop puts before its resources, and the number of the one that is IPTC.
const RESOURCES: &[u8] = b"Photoshop 3.0\0";
const IPTC: u16 = 0x0404;

/// The first EXIF segment.
pub(super) fn exif_of(bytes: &[u8]) -> Option<&[u8]> {
    segments(bytes).find_map(|(marker, body)| body.strip_prefix(EXIF).filter(|_| marker == 0xE1))
}

/// The datasets in the first segment of Photoshop's resources (Adobe Photoshop File Formats Specification, "Image
/// Resource Blocks").
pub(super) fn iptc_of(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest =
        segments(bytes).find_map(|(marker, body)| body.strip_prefix(RESOURCES).filter(|_| marker == 0xED))?;
    loop {
        let (id, after) = rest.strip_prefix(b"8BIM")?.split_first_chunk::<2>()?;
        // A name with its length before it, and the data, each filled up to an even length.
        let (name, after) = (usize::from(*after.first()?), after.get(1..)?);
        let (length, after) = after.get(name + usize::from(name.is_multiple_of(2))..)?.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if u16::from_be_bytes(*id) == IPTC {
            return after.get(..length);
        }
        rest = after.get(length.checked_next_multiple_of(2)?..)?;
    }
}

/// By the first EXIF segment.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    exif_of(bytes).map(exif::orientation).unwrap_or_default()
}

/// Reads the orientation and the ICC profile, which may be spread over segments (ICC.1:2022, annex B.4).
pub(super) fn metadata(bytes: &[u8]) -> Metadata {
    let mut chunks: Vec<(u8, &[u8])> = Vec::new();
    for (marker, body) in segments(bytes) {
        if let (0xE2, Some([number, _, chunk @ ..])) = (marker, body.strip_prefix(b"ICC_PROFILE\0")) {
            chunks.push((*number, chunk));
        }
    }
    chunks.sort_by_key(|(number, _)| *number);
    let profile: Vec<u8> = chunks.into_iter().flat_map(|(_, chunk)| chunk).copied().take(MAX_PROFILE).collect();
    Metadata {
        orientation: orientation(bytes),
        space: if profile.is_empty() { Space::Srgb } else { Space::Icc(profile) },
        ..Metadata::default()
    }
}

/// The segments before the first scan, as marker and body.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let start = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF))?;
        let marker = rest[start + 1];
        if matches!(marker, 0xD9 | 0xDA) {
            return None;
        }
        let after = &rest[start + 2..];
        let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
        let body = after.get(2..length)?;
        rest = &after[length..];
        Some((marker, body))
    })
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
    let reduced = few.and_then(|eighths| Some((reduced::decode(bytes, header, eighths)?, eighths)));
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
