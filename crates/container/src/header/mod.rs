//! Headers of image files: format, size, frames and scans, without decoding.
//!
//! The format is detected by the first bytes, never by a file name or a declared type. Only the structure of the file is read:
//! nothing is decompressed, memory is constant, and time is linear in the length of the file. A file that passes may still be
//! damaged inside; it cannot have more pixels than its header declares.
//!
//! One file per format; the list of formats is in this file.

pub mod bmp;
mod byte_reader;
mod error;
pub mod gif;
pub mod heif;
mod jpeg;
mod jxl;
mod limits;
mod png;
pub mod tiff;
mod unsupported_files;
mod webp;

use std::io::{BufRead, Seek};

use darkroom_model::SourceFormat;

use byte_reader::ByteReader;

pub use error::{HeaderError, Limit};
pub use limits::HeaderLimits;

/// The header of an image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format by the first bytes.
    pub format: SourceFormat,
    /// Width in pixels as stored, before orientation; that of the canvas for an animation. At least 1.
    pub width: u32,
    /// Height in pixels as stored, before orientation; that of the canvas for an animation. At least 1.
    pub height: u32,
    /// The number of frames; 1 for a still picture.
    pub frames: u32,
    /// The number of scans of a JPEG, 1 for other formats. With more than one, a decoder holds all coefficients of the picture
    /// in memory.
    pub scans: u32,
    /// Bits of a decoded pixel, all channels together.
    pub bits_per_pixel: u32,
    /// Pixels that a decoder holds at once for the largest frame, tile or strip of the file; at least width × height. More than
    /// that for a GIF with a frame larger than its screen, and for a TIFF with a tile larger than its picture.
    pub decoded_pixels: u64,
}

impl Header {
    /// Pixels of one frame: width × height.
    #[must_use]
    pub fn frame_pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Bytes of the decoded samples of one frame.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.frame_pixels() * u64::from(self.bits_per_pixel.max(8)).div_ceil(8)
    }

    /// Pixels to decode: width × height, summed over the frames.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        self.frame_pixels() * u64::from(self.frames)
    }

    /// Whether there is more than one frame.
    #[must_use]
    pub fn is_animated(&self) -> bool {
        self.frames > 1
    }

    /// This header if it is within the limits. Raises `decoded_pixels` to the pixels of one frame.
    fn within(self, limits: &HeaderLimits) -> Result<Self, HeaderError> {
        limits.check(Limit::Width, self.width.into())?;
        limits.check(Limit::Height, self.height.into())?;
        limits.check(Limit::Frames, self.frames.into())?;
        limits.check(Limit::Scans, self.scans.into())?;
        let decoded_pixels = self.decoded_pixels.max(self.frame_pixels());
        limits.check(Limit::Pixels, self.pixels().max(decoded_pixels))?;
        Ok(Self { decoded_pixels, ..self })
    }
}

/// How the header of a format is detected and read.
struct HeaderParser<R> {
    format: SourceFormat,
    /// Compares the first [`SIGNATURE_LENGTH`] bytes of the file, or all of a shorter file.
    has_signature: fn(&[u8]) -> bool,
    /// Reads from the first byte of the file. `decoded_pixels` may be 0 where it is not more than the pixels of one frame.
    read: fn(&mut ByteReader<'_, R>, &HeaderLimits) -> Result<Header, HeaderError>,
}

/// The longest signature, in bytes.
const SIGNATURE_LENGTH: usize = 16;

/// The parsers in the order in which their signatures are compared.
fn header_parsers<R: BufRead + Seek>() -> [HeaderParser<R>; 9] {
    [
        HeaderParser { format: SourceFormat::Jpeg, has_signature: jpeg::has_signature, read: jpeg::read },
        HeaderParser { format: SourceFormat::Png, has_signature: png::has_signature, read: png::read },
        HeaderParser { format: SourceFormat::Gif, has_signature: gif::has_signature, read: gif::read },
        HeaderParser { format: SourceFormat::Webp, has_signature: webp::has_signature, read: webp::read },
        HeaderParser { format: SourceFormat::Jxl, has_signature: jxl::has_signature, read: jxl::read },
        HeaderParser { format: SourceFormat::Tiff, has_signature: tiff::has_signature, read: tiff::read },
        HeaderParser { format: SourceFormat::Bmp, has_signature: bmp::has_signature, read: bmp::read },
        HeaderParser { format: SourceFormat::Heic, has_signature: heif::has_heic_signature, read: heif::read },
        HeaderParser { format: SourceFormat::Avif, has_signature: heif::has_signature, read: heif::read },
    ]
}

/// Reads the header of a file from the current position of the reader.
///
/// Never panics. Uses constant memory, and time linear in the length of the file.
///
/// # Errors
/// [`HeaderError`]; every variant but `Io` is caused by the contents of the file.
pub fn read<R: BufRead + Seek>(reader: &mut R, limits: &HeaderLimits) -> Result<Header, HeaderError> {
    let mut start = [0; SIGNATURE_LENGTH];
    let mut input = ByteReader::new(reader, "image");
    let length = input.peek(&mut start)?;
    let start = &start[..length];
    match header_parsers().into_iter().find(|parser| (parser.has_signature)(start)) {
        Some(HeaderParser { format, read, .. }) => {
            read(&mut ByteReader::new(reader, format.name()), limits)?.within(limits)
        }
        None => Err(HeaderError::Unsupported { detected: unsupported_files::detect(start) }),
    }
}

/// Reads the structure of an AVIF file that [`read`] has accepted, as its decoder needs it.
///
/// # Errors
/// [`HeaderError`], as for [`read`].
pub fn avif_layout<R: BufRead + Seek>(reader: &mut R) -> Result<heif::Layout, HeaderError> {
    heif::layout(&mut ByteReader::new(reader, SourceFormat::Avif.name()))
}

/// Reads the structure of a GIF that [`read`] has accepted, as its decoder needs it.
///
/// # Errors
/// [`HeaderError`], as for [`read`].
pub fn gif_layout<R: BufRead + Seek>(reader: &mut R) -> Result<gif::Layout, HeaderError> {
    gif::layout(&mut ByteReader::new(reader, SourceFormat::Gif.name()))
}

/// Reads the structure of a BMP file that [`read`] has accepted, as its decoder needs it.
///
/// # Errors
/// [`HeaderError`], as for [`read`].
pub fn bmp_layout<R: BufRead + Seek>(reader: &mut R) -> Result<bmp::Layout, HeaderError> {
    bmp::layout(&mut ByteReader::new(reader, SourceFormat::Bmp.name()))
}

/// Reads the directory of a TIFF file that [`read`] has accepted, as its decoder needs it.
///
/// # Errors
/// [`HeaderError`], as for [`read`].
pub fn tiff_layout<R: BufRead + Seek>(reader: &mut R) -> Result<tiff::Layout, HeaderError> {
    tiff::layout(&mut ByteReader::new(reader, SourceFormat::Tiff.name()))
}

#[cfg(test)]
mod tests;
