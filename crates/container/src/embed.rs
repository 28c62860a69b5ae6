//! Embeds EXIF, ICC profile and gamut into encoded files.

use std::io::{Cursor, Read as _};

use darkroom_model::{RenditionFormat, recipe::Gamut};
use flate2::{Compression, Crc, read::ZlibEncoder};

use crate::{
    avif_container::{self, AvifWriteError, Contents},
    header::{self, HeaderError},
    jpeg_marker::{APP0, APP1, APP2},
    jpeg_segments::{SegmentTooLong, write_segment},
};

/// Metadata cannot be embedded: the file is not a valid one, or the metadata is too long. The files are our own, so this is a
/// bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata cannot be embedded: {0}")]
pub struct EmbedError(String);

impl EmbedError {
    #[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
    fn bug(cause: impl ToString) -> Self {
        Self(cause.to_string())
    }
}

impl From<HeaderError> for EmbedError {
    fn from(error: HeaderError) -> Self {
        Self(error.to_string())
    }
}

impl From<SegmentTooLong> for EmbedError {
    fn from(error: SegmentTooLong) -> Self {
        Self(error.to_string())
    }
}

impl From<AvifWriteError> for EmbedError {
    fn from(error: AvifWriteError) -> Self {
        Self(error.to_string())
    }
}

/// Metadata to embed into a rendition. The default is none: readers assume sRGB.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedMetadata {
    /// The colour primaries of the samples. Only AVIF stores them; the other formats have the profile.
    pub gamut: Gamut,
    /// The ICC profile of the gamut; `None` for sRGB.
    pub profile: Option<Vec<u8>>,
    /// EXIF as a TIFF structure, without `Exif\0\0`; less than 64 KiB.
    pub exif: Option<Vec<u8>>,
}

impl EmbeddedMetadata {
    /// Returns `file`, which is encoded as `format`, with this metadata. A gray file gets no profile: gray is the same in every
    /// gamut.
    ///
    /// # Errors
    /// [`EmbedError`] where `file` is not a valid file of the format, or a segment exceeds 65,533 bytes.
    pub fn embed(&self, format: RenditionFormat, mut file: Vec<u8>) -> Result<Vec<u8>, EmbedError> {
        let profile = self.profile.as_deref().filter(|_| !is_gray(format, &file));
        if profile.is_none() && self.exif.is_none() {
            return Ok(file);
        }
        // Each segment or chunk is inserted before those inserted earlier. EXIF must be the first one in a JPEG (CIPA
        // DC-008-2019, section 4.5.4).
        match format {
            RenditionFormat::Jpeg => {
                if let Some(profile) = profile {
                    // Chunk 1 of 1 (ICC.1:2022, annex B.4).
                    file = insert_jpeg_segment(file, APP2, &[&b"ICC_PROFILE\0\x01\x01"[..], profile].concat())?;
                }
                if let Some(exif) = &self.exif {
                    file = insert_jpeg_segment(file, APP1, &[&b"Exif\0\0"[..], exif].concat())?;
                }
                Ok(file)
            }
            RenditionFormat::Png => {
                if let Some(exif) = &self.exif {
                    file = insert_png_chunk(file, *b"eXIf", exif)?;
                }
                if let Some(profile) = profile {
                    file = insert_png_chunk(file, *b"iCCP", &[&b"Display P3\0\0"[..], &zlib(profile)].concat())?;
                }
                Ok(file)
            }
            RenditionFormat::Webp => embed_in_webp(&file, profile, self.exif.as_deref()),
            RenditionFormat::Avif => rewrite_avif(&file, self),
        }
    }
}

/// Whether a file has no colour channels, by its header.
fn is_gray(format: RenditionFormat, file: &[u8]) -> bool {
    match format {
        // The colour type in IHDR: 0 grayscale, 4 grayscale with alpha.
        RenditionFormat::Png => matches!(file.get(25), Some(0 | 4)),
        RenditionFormat::Jpeg => {
            let header = header::read(&mut Cursor::new(file), &header::HeaderLimits::default());
            header.is_ok_and(|header| header.bits_per_pixel <= 8)
        }
        RenditionFormat::Webp | RenditionFormat::Avif => false,
    }
}

/// Inserts a marker segment into a JPEG, after JFIF's APP0, which must be the first segment.
fn insert_jpeg_segment(file: Vec<u8>, marker: u8, body: &[u8]) -> Result<Vec<u8>, EmbedError> {
    let start = match file.get(2..6) {
        Some([0xFF, APP0, high, low]) => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    let mut segment = Vec::with_capacity(body.len() + 4);
    write_segment(&mut segment, marker, body)?;
    insert(file, start, segment)
}

/// Inserts a chunk into a PNG, after IHDR.
fn insert_png_chunk(file: Vec<u8>, kind: [u8; 4], body: &[u8]) -> Result<Vec<u8>, EmbedError> {
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

fn insert(mut file: Vec<u8>, position: usize, bytes: Vec<u8>) -> Result<Vec<u8>, EmbedError> {
    if position > file.len() {
        return Err(EmbedError::bug("the file is cut short"));
    }
    file.splice(position..position, bytes);
    Ok(file)
}

/// Compresses bytes in the zlib format.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(bytes, Compression::best());
    let mut compressed = Vec::new();
    // Cannot fail: source and destination are in memory.
    _ = encoder.read_to_end(&mut compressed);
    compressed
}

/// Converts a WebP to the extended file format, with an ICCP chunk before the image data and an EXIF chunk after it (RFC 9649,
/// section 2.7).
fn embed_in_webp(file: &[u8], profile: Option<&[u8]>, exif: Option<&[u8]>) -> Result<Vec<u8>, EmbedError> {
    /// Flags of the VP8X chunk.
    const ICC_FLAG: u8 = 0x20;
    const EXIF_FLAG: u8 = 0x08;
    const ALPHA_FLAG: u8 = 0x10;
    let bug = || EmbedError::bug("the WebP has no image data");
    let rest = file.get(12..).ok_or_else(bug)?;
    let (mut vp8x, image_data) = match rest.get(..4) {
        Some(b"VP8X") => {
            (<[u8; 10]>::try_from(rest.get(8..18).ok_or_else(bug)?).map_err(EmbedError::bug)?, &rest[18..])
        }
        kind => {
            let header = header::read(&mut Cursor::new(file), &header::HeaderLimits::default())?;
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

/// Writes the AV1 data of an AVIF into a new container with this metadata.
fn rewrite_avif(file: &[u8], metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
    let layout = header::avif_layout(&mut Cursor::new(file))?;
    let data = |extents: &[_]| {
        header::avif::concat_extents(file, extents).ok_or_else(|| EmbedError::bug("the AVIF has no AV1 data"))
    };
    let (colour, alpha) = (data(&layout.colour)?, layout.alpha.as_deref().map(data).transpose()?);
    let contents = Contents {
        size: (layout.width, layout.height),
        monochrome: layout.monochrome,
        colour: &colour,
        alpha: alpha.as_deref(),
        gamut: metadata.gamut,
        exif: metadata.exif.as_deref(),
    };
    Ok(avif_container::write(&contents)?)
}

#[cfg(test)]
mod tests {
    use darkroom_test_pictures::{Jpeg, interlaced_png};

    use super::*;
    use crate::jpeg_segments::segments;

    fn metadata() -> EmbeddedMetadata {
        let exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
        EmbeddedMetadata { gamut: Gamut::P3, profile: Some(vec![7; 500]), exif: Some(exif) }
    }

    #[test]
    fn a_jpeg_has_exif_then_the_profile_after_its_first_segment() {
        let file = Jpeg::new(16, 16).encode(|_, _, _| 100);
        let before: Vec<u8> = segments(&file).map(|(marker, _)| marker).collect();
        let embedded = metadata().embed(RenditionFormat::Jpeg, file).unwrap();
        let after: Vec<u8> = segments(&embedded).map(|(marker, _)| marker).collect();
        let app0 = before.iter().take_while(|marker| **marker == APP0).count();
        assert_eq!(after, [&before[..app0], &[APP1, APP2], &before[app0..]].concat());
        assert_eq!(crate::jpeg_segments::exif(&embedded), metadata().exif.as_deref());
        assert_eq!(crate::jpeg_segments::icc_profile(&embedded, 1_000), metadata().profile);
    }

    #[test]
    fn a_gray_file_gets_no_profile() {
        let embedded = metadata().embed(RenditionFormat::Png, interlaced_png(4, 4, |_, _| [1, 2, 3])).unwrap();
        assert!(embedded.windows(4).any(|kind| kind == b"iCCP"));
        let mut gray = interlaced_png(4, 4, |_, _| [1, 2, 3]);
        gray[25] = 0;
        let embedded = metadata().embed(RenditionFormat::Png, gray).unwrap();
        assert!(!embedded.windows(4).any(|kind| kind == b"iCCP") && embedded.windows(4).any(|kind| kind == b"eXIf"));
    }

    #[test]
    fn without_metadata_a_file_is_unchanged() {
        for format in RenditionFormat::ALL {
            assert_eq!(EmbeddedMetadata::default().embed(*format, vec![1, 2]).unwrap(), [1, 2]);
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        for format in RenditionFormat::ALL.iter().filter(|format| **format != RenditionFormat::Jpeg) {
            assert!(metadata().embed(*format, b"RIFF".to_vec()).is_err(), "{format}");
        }
        assert!(metadata().embed(RenditionFormat::Jpeg, vec![0xFF]).is_err());
    }
}
