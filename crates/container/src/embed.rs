//! What a file says beside its pixels, put into its container once it is encoded.

use std::io::{Cursor, Read as _};

use darkroom_model::{RenditionFormat, recipe::Gamut};

use flate2::{Compression, Crc, read::ZlibEncoder};

use crate::{
    avif::{self, Contents},
    header::{self, HeaderError},
    jpeg_segments::{SegmentTooLong, write_segment},
};

/// A file could not be read or written though it is one of our own: an error of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata cannot be embedded: {0}")]
pub struct EmbedError(pub(crate) String);

impl EmbedError {
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

/// Nothing by default: then every reader takes the values for sRGB.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// What the values mean.
    pub gamut: Gamut,
    /// The ICC profile of the gamut, for formats that carry one; `None` for sRGB.
    pub profile: Option<Vec<u8>>,
    /// A TIFF structure of less than 64 KiB.
    pub exif: Option<Vec<u8>>,
}

impl Labels {
    /// The file with these labels. A file without colours is told no gamut: a gray is the same in all.
    pub fn put(&self, format: RenditionFormat, mut file: Vec<u8>) -> Result<Vec<u8>, EmbedError> {
        let profile = self.profile.as_deref().filter(|_| !has_no_colours(format, &file));
        if profile.is_none() && self.exif.is_none() {
            return Ok(file);
        }
        // What is put last stands first: EXIF, in a JPEG (CIPA DC-008-2019, section 4.5.4).
        match format {
            RenditionFormat::Jpeg => {
                if let Some(profile) = profile {
                    // One of one segments (ICC.1:2022, annex B.4).
                    file = segment(file, 0xE2, &[&b"ICC_PROFILE\0\x01\x01"[..], profile].concat())?;
                }
                if let Some(exif) = &self.exif {
                    file = segment(file, 0xE1, &[&b"Exif\0\0"[..], exif].concat())?;
                }
                Ok(file)
            }
            RenditionFormat::Png => {
                if let Some(exif) = &self.exif {
                    file = chunk(file, *b"eXIf", exif);
                }
                if let Some(profile) = profile {
                    file = chunk(file, *b"iCCP", &[&b"Display P3\0\0"[..], &zlib(profile)].concat());
                }
                Ok(file)
            }
            RenditionFormat::Webp => webp(&file, profile, self.exif.as_deref()),
            RenditionFormat::Avif => rewrite_avif(&file, self),
        }
    }
}

fn has_no_colours(format: RenditionFormat, file: &[u8]) -> bool {
    match format {
        // IHDR's colour type: gray, with alpha or without.
        RenditionFormat::Png => matches!(file.get(25), Some(0 | 4)),
        RenditionFormat::Jpeg => {
            let header = header::read(&mut Cursor::new(file), &header::HeaderLimits::default());
            header.is_ok_and(|header| header.bits_per_pixel <= 8)
        }
        RenditionFormat::Webp | RenditionFormat::Avif => false,
    }
}

/// A JPEG with one segment more, behind the one that says that it is a JFIF file, which must be first.
fn segment(mut file: Vec<u8>, marker: u8, body: &[u8]) -> Result<Vec<u8>, EmbedError> {
    let start = match file.get(2..6) {
        Some([0xFF, 0xE0, high, low]) => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    let mut segment = Vec::with_capacity(body.len() + 4);
    write_segment(&mut segment, marker, body)?;
    file.splice(start..start, segment);
    Ok(file)
}

/// A PNG with one chunk more, behind its header.
fn chunk(mut file: Vec<u8>, kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    /// The signature and IHDR.
    const START: usize = 8 + 25;
    let checked = [&kind[..], body].concat();
    let mut sum = Crc::new();
    sum.update(&checked);
    // A chunk is far shorter.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let chunk = [&length.to_be_bytes()[..], &checked, &sum.sum().to_be_bytes()].concat();
    file.splice(START..START, chunk);
    file
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(bytes, Compression::best());
    let mut packed = Vec::new();
    // Memory is read and written.
    _ = encoder.read_to_end(&mut packed);
    packed
}

/// A WebP in its extended form, with its profile before the picture and EXIF behind it (RFC 9649, section 2.7).
fn webp(file: &[u8], profile: Option<&[u8]>, exif: Option<&[u8]>) -> Result<Vec<u8>, EmbedError> {
    /// The flag of a profile.
    const PROFILE: u8 = 0x20;
    /// The flag of EXIF.
    const EXIF: u8 = 0x08;
    /// The flag of transparency.
    const ALPHA: u8 = 0x10;
    let bug = || EmbedError::bug("a WebP without a picture");
    let rest = file.get(12..).ok_or_else(bug)?;
    let (mut extended, pictures) = match rest.get(..4) {
        Some(b"VP8X") => {
            (<[u8; 10]>::try_from(rest.get(8..18).ok_or_else(bug)?).map_err(EmbedError::bug)?, &rest[18..])
        }
        kind => {
            let header = header::read(&mut Cursor::new(file), &header::HeaderLimits::default())?;
            let [width, height] = [header.width - 1, header.height - 1].map(u32::to_le_bytes);
            // A stream without loss says behind its sizes whether alpha is used (section 3.4).
            let alpha = kind == Some(b"VP8L") && rest.get(12).is_some_and(|byte| byte & 0x10 != 0);
            let flags = if alpha { ALPHA } else { 0 };
            ([flags, 0, 0, 0, width[0], width[1], width[2], height[0], height[1], height[2]], rest)
        }
    };
    extended[0] |= profile.map_or(0, |_| PROFILE) | exif.map_or(0, |_| EXIF);
    let mut body = b"WEBP".to_vec();
    riff_chunk(&mut body, *b"VP8X", &extended)?;
    profile.map_or(Ok(()), |profile| riff_chunk(&mut body, *b"ICCP", profile))?;
    body.extend(pictures);
    exif.map_or(Ok(()), |exif| riff_chunk(&mut body, *b"EXIF", exif))?;
    let length = u32::try_from(body.len()).map_err(EmbedError::bug)?;
    Ok([&b"RIFF"[..], &length.to_le_bytes(), &body].concat())
}

fn riff_chunk(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) -> Result<(), EmbedError> {
    file.extend(kind);
    file.extend(u32::try_from(body.len()).map_err(EmbedError::bug)?.to_le_bytes());
    file.extend(body);
    file.extend(&[0][..body.len() % 2]);
    Ok(())
}

/// An AVIF in another container.
fn rewrite_avif(file: &[u8], labels: &Labels) -> Result<Vec<u8>, EmbedError> {
    let layout = header::avif_layout(&mut Cursor::new(file))?;
    let data =
        |extents: &[_]| header::avif::join(file, extents).ok_or_else(|| EmbedError::bug("an AVIF without its data"));
    let (colour, alpha) = (data(&layout.colour)?, layout.alpha.as_deref().map(data).transpose()?);
    avif::write(&Contents {
        size: (layout.width, layout.height),
        monochrome: layout.monochrome,
        colour: &colour,
        alpha: alpha.as_deref(),
        gamut: labels.gamut,
        exif: labels.exif.as_deref(),
    })
}
