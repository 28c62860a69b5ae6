//! PNG: the chunks `iCCP` and `eXIf` (W3C PNG, third edition, sections 11.3.2.3 and 11.3.3.3).

use std::io::Read as _;

use flate2::{Compression, Crc, read::ZlibEncoder};

use super::{EmbedError, EmbeddedMetadata, insert};

/// Inserts the ICC profile and EXIF. A gray file gets no profile: gray is the same in every gamut.
///
/// # Errors
/// [`EmbedError`] where the file is not a valid one.
pub fn embed_in_png(mut file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
    // Each chunk is inserted before those inserted earlier.
    if let Some(exif) = &metadata.exif {
        file = insert_chunk(file, *b"eXIf", exif)?;
    }
    if let Some(profile) = &metadata.profile
        && !is_gray(&file)
    {
        file = insert_chunk(file, *b"iCCP", &[&b"Display P3\0\0"[..], &zlib(profile)].concat())?;
    }
    Ok(file)
}

/// By the colour type in IHDR: 0 grayscale, 4 grayscale with alpha.
fn is_gray(file: &[u8]) -> bool {
    matches!(file.get(25), Some(0 | 4))
}

/// Inserts a chunk after IHDR.
fn insert_chunk(file: Vec<u8>, kind: [u8; 4], body: &[u8]) -> Result<Vec<u8>, EmbedError> {
    /// The length of the signature and of the IHDR chunk.
    const START: usize = 8 + 25;
    let kind_and_body = [&kind[..], body].concat();
    let mut crc = Crc::new();
    crc.update(&kind_and_body);
    // ICC profiles and EXIF are far shorter than 4 GiB.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let chunk = [&length.to_be_bytes()[..], &kind_and_body, &crc.sum().to_be_bytes()].concat();
    insert(file, START, chunk)
}

/// Compresses bytes in the zlib format.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(bytes, Compression::best());
    let mut compressed = Vec::new();
    // Cannot fail: source and destination are in memory.
    _ = encoder.read_to_end(&mut compressed);
    compressed
}

#[cfg(test)]
mod tests {
    use darkroom_test_pictures::interlaced_png;

    use super::{super::tests::metadata, *};

    #[test]
    fn a_gray_file_gets_no_profile() {
        let embedded = embed_in_png(interlaced_png(4, 4, |_, _| [1, 2, 3]), &metadata()).unwrap();
        assert!(embedded.windows(4).any(|kind| kind == b"iCCP"));
        let mut gray = interlaced_png(4, 4, |_, _| [1, 2, 3]);
        gray[25] = 0;
        let embedded = embed_in_png(gray, &metadata()).unwrap();
        assert!(!embedded.windows(4).any(|kind| kind == b"iCCP") && embedded.windows(4).any(|kind| kind == b"eXIf"));
    }
}
