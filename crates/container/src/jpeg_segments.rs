//! The marker segments of a JPEG (T.81, annex B.1.1.4): read up to the first scan, and written.

use crate::jpeg_marker::{APP1, APP2, APP13, EOI, SOF9, SOF10, SOI, SOS};

/// The identifier of EXIF in APP1.
const EXIF: &[u8] = b"Exif\0\0";

/// The identifier of an ICC profile in APP2.
const ICC_PROFILE: &[u8] = b"ICC_PROFILE\0";

/// The identifier of Photoshop's image resources in APP13.
const PHOTOSHOP_RESOURCES: &[u8] = b"Photoshop 3.0\0";
/// The identifier of the image resource with IPTC datasets.
const IPTC_RESOURCE: u16 = 0x0404;

/// The contents of the first EXIF segment that holds a TIFF structure, as in browsers.
pub fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let is_tiff = |body: &&[u8]| body.len() >= 8 && (body.starts_with(b"II*\0") || body.starts_with(b"MM\0*"));
    segments(bytes).find_map(|(marker, body)| body.strip_prefix(EXIF).filter(|_| marker == APP1).filter(is_tiff))
}

/// Whether entropy coding is arithmetic (T.81, annex D).
pub fn is_arithmetic(bytes: &[u8]) -> bool {
    segments(bytes).any(|(marker, _)| matches!(marker, SOF9 | SOF10))
}

/// The IPTC datasets in the first segment of Photoshop's image resources (Adobe Photoshop File Formats Specification, "Image
/// Resource Blocks").
pub fn iptc(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = segments(bytes)
        .find_map(|(marker, body)| body.strip_prefix(PHOTOSHOP_RESOURCES).filter(|_| marker == APP13))?;
    loop {
        let (id, after) = rest.strip_prefix(b"8BIM")?.split_first_chunk::<2>()?;
        // A Pascal string as name, and the data; both padded to an even length.
        let (name, after) = (usize::from(*after.first()?), after.get(1..)?);
        let (length, after) = after.get(name + usize::from(name.is_multiple_of(2))..)?.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if u16::from_be_bytes(*id) == IPTC_RESOURCE {
            return after.get(..length);
        }
        rest = after.get(length.checked_next_multiple_of(2)?..)?;
    }
}

/// The ICC profile, reassembled from its segments (ICC.1:2022, annex B.4), of which at most `max` bytes are returned.
#[must_use]
pub fn icc_profile(bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut chunks: Vec<(u8, &[u8])> = Vec::new();
    for (marker, body) in segments(bytes) {
        if let (APP2, Some([number, _, chunk @ ..])) = (marker, body.strip_prefix(ICC_PROFILE)) {
            chunks.push((*number, chunk));
        }
    }
    chunks.sort_by_key(|(number, _)| *number);
    let profile: Vec<u8> = chunks.into_iter().flat_map(|(_, chunk)| chunk).copied().take(max).collect();
    (!profile.is_empty()).then_some(profile)
}

/// The marker segments before the first scan: the second byte of the marker, and the parameters without the length. None in a
/// file that is not a JPEG.
pub fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes.strip_prefix(&[0xFF, SOI]).unwrap_or_default();
    std::iter::from_fn(move || {
        let start = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF))?;
        let marker = rest[start + 1];
        if matches!(marker, EOI | SOS) {
            return None;
        }
        let after = &rest[start + 2..];
        let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
        let body = after.get(2..length)?;
        rest = &after[length..];
        Some((marker, body))
    })
}

/// Appends a marker segment with the second byte of its marker, and `body` as parameters, at most 65,533 bytes.
///
/// # Errors
/// [`SegmentTooLong`] where the body is longer.
pub fn write_segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) -> Result<(), SegmentTooLong> {
    let length = u16::try_from(body.len() + 2).map_err(|_| SegmentTooLong)?;
    file.extend([0xFF, marker]);
    file.extend(length.to_be_bytes());
    file.extend(body);
    Ok(())
}

/// The parameters of a marker segment exceed 65,533 bytes (T.81, section B.1.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a JPEG segment has at most 65,533 bytes")]
pub struct SegmentTooLong;
