//! JPEG: marker segments after JFIF's.

use std::io::Cursor;

use super::{EmbedError, EmbeddedMetadata, insert};
use crate::{
    header::{self, HeaderLimits},
    jpeg_marker::{APP0, APP1, APP2},
    jpeg_segments::write_segment,
};

/// Inserts EXIF, then the ICC profile. A gray file gets no profile: gray is the same in every gamut.
///
/// # Errors
/// [`EmbedError`] where the file is not a valid one, or a segment exceeds 65,533 bytes.
pub fn embed_in_jpeg(mut file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
    // Each segment is inserted before those inserted earlier. EXIF must be the first one (CIPA DC-008-2019, section 4.5.4).
    if let Some(profile) = &metadata.profile
        && !is_gray(&file)
    {
        // Chunk 1 of 1 (ICC.1:2022, annex B.4).
        file = insert_segment(file, APP2, &[&b"ICC_PROFILE\0\x01\x01"[..], profile].concat())?;
    }
    if let Some(exif) = &metadata.exif {
        file = insert_segment(file, APP1, &[&b"Exif\0\0"[..], exif].concat())?;
    }
    Ok(file)
}

fn is_gray(file: &[u8]) -> bool {
    let header = header::read(&mut Cursor::new(file), &HeaderLimits::default());
    header.is_ok_and(|header| header.bits_per_pixel <= 8)
}

/// Inserts a marker segment after JFIF's APP0, which must be the first segment.
fn insert_segment(file: Vec<u8>, marker: u8, body: &[u8]) -> Result<Vec<u8>, EmbedError> {
    let start = match file.get(2..6) {
        Some([0xFF, APP0, high, low]) => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    let mut segment = Vec::with_capacity(body.len() + 4);
    write_segment(&mut segment, marker, body)?;
    insert(file, start, segment)
}

#[cfg(test)]
mod tests {
    use darkroom_test_pictures::Jpeg;

    use super::{super::tests::metadata, *};
    use crate::jpeg_segments::{self, segments};

    #[test]
    fn a_jpeg_has_exif_then_the_profile_after_its_first_segment() {
        let file = Jpeg::new(16, 16).encode(|_, _, _| 100);
        let before: Vec<u8> = segments(&file).map(|(marker, _)| marker).collect();
        let embedded = embed_in_jpeg(file, &metadata()).unwrap();
        let after: Vec<u8> = segments(&embedded).map(|(marker, _)| marker).collect();
        let app0 = before.iter().take_while(|marker| **marker == APP0).count();
        assert_eq!(after, [&before[..app0], &[APP1, APP2], &before[app0..]].concat());
        assert_eq!(jpeg_segments::exif(&embedded), metadata().exif.as_deref());
        assert_eq!(jpeg_segments::icc_profile(&embedded, 1_000), metadata().profile);
    }
}
