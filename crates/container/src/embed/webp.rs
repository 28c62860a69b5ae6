//! WebP: the chunks of the extended file format.

use std::io::Cursor;

use super::{EmbedError, EmbeddedMetadata};
use crate::header::{self, HeaderLimits};

/// Converts to the extended file format, with an ICCP chunk before the image data and an EXIF chunk after it (RFC 9649, section
/// 2.7).
///
/// # Errors
/// [`EmbedError`] where the file is not a valid one.
pub fn embed_in_webp(file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
    /// Flags of the VP8X chunk.
    const ICC_FLAG: u8 = 0x20;
    const EXIF_FLAG: u8 = 0x08;
    const ALPHA_FLAG: u8 = 0x10;
    if metadata.is_empty() {
        return Ok(file);
    }
    let (profile, exif) = (metadata.profile.as_deref(), metadata.exif.as_deref());
    let bug = || EmbedError::bug("the WebP has no image data");
    let rest = file.get(12..).ok_or_else(bug)?;
    let (mut vp8x, image_data) = match rest.get(..4) {
        Some(b"VP8X") => {
            (<[u8; 10]>::try_from(rest.get(8..18).ok_or_else(bug)?).map_err(EmbedError::bug)?, &rest[18..])
        }
        kind => {
            let header = header::read(&mut Cursor::new(&file), &HeaderLimits::default())?;
            let [width, height] = [header.width - 1, header.height - 1].map(u32::to_le_bytes);
            // The bit alpha_is_used follows the sizes in the header of a lossless bitstream (section 3.4).
            let alpha = kind == Some(b"VP8L") && rest.get(12).is_some_and(|byte| byte & 0x10 != 0);
            let flags = if alpha { ALPHA_FLAG } else { 0 };
            ([flags, 0, 0, 0, width[0], width[1], width[2], height[0], height[1], height[2]], rest)
        }
    };
    vp8x[0] |= profile.map_or(0, |_| ICC_FLAG) | exif.map_or(0, |_| EXIF_FLAG);
    let mut body = b"WEBP".to_vec();
    riff_chunk(&mut body, *b"VP8X", &vp8x)?;
    profile.map_or(Ok(()), |profile| riff_chunk(&mut body, *b"ICCP", profile))?;
    body.extend(image_data);
    exif.map_or(Ok(()), |exif| riff_chunk(&mut body, *b"EXIF", exif))?;
    let length = u32::try_from(body.len()).map_err(EmbedError::bug)?;
    Ok([&b"RIFF"[..], &length.to_le_bytes(), &body].concat())
}

/// Appends a RIFF chunk, padded to an even length (RFC 9649, section 2.3).
fn riff_chunk(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) -> Result<(), EmbedError> {
    file.extend(kind);
    file.extend(u32::try_from(body.len()).map_err(EmbedError::bug)?.to_le_bytes());
    file.extend(body);
    file.extend(&[0][..body.len() % 2]);
    Ok(())
}
