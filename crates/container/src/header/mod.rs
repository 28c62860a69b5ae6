//! What a file says of itself before anything is decoded: format, size, frames, scans.
//!
//! Told from the bytes alone, never from a name or a declared type. Only structure is read: nothing is decompressed,
//! memory stays constant, and the time is bounded by the length of the file. A file that passes may still be broken
//! inside; it cannot be larger than it says.

pub mod avif;
mod bmp;
mod gif;
mod input;
mod jpeg;
mod jxl;
mod png;
mod tiff;
mod webp;

use std::{
    fmt,
    io::{self, BufRead, Seek},
};

use serde::{Deserialize, Serialize};

use darkroom_model::{Failure, FailureCode, SourceFormat};
use input::Input;

/// What a file may ask of us. Checked before decoding, and a bound on what decoding costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLimits {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Width × height, summed over the frames of an animation.
    pub pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
    /// Scans of a JPEG. Each one can touch every coefficient of the picture, so a small file with a thousand scans
    /// costs minutes; real encoders write about ten.
    pub scans: u32,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { width: 65_535, height: 65_535, pixels: 100_000_000, frames: 1_000, scans: 64 }
    }
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// By magic bytes.
    pub format: SourceFormat,
    /// Pixels as stored, before orientation; of the canvas, for an animation. At least 1.
    pub width: u32,
    /// Pixels as stored, before orientation; of the canvas, for an animation. At least 1.
    pub height: u32,
    /// 1 for a still picture.
    pub frames: u32,
    /// Passes over the picture: 1, but for a progressive or non-interleaved JPEG, whose coefficients must all be held
    /// in memory while it is decoded.
    pub scans: u32,
    /// Bits of one decoded pixel, all channels together.
    pub bits_per_pixel: u32,
}

impl Header {
    /// Pixels to decode: width × height, summed over the frames.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(self.frames)
    }

    /// More than one frame.
    #[must_use]
    pub fn is_animated(&self) -> bool {
        self.frames > 1
    }

    fn within(self, limits: &HeaderLimits) -> Result<Self, HeaderError> {
        limits.check(Limit::Width, self.width.into())?;
        limits.check(Limit::Height, self.height.into())?;
        limits.check(Limit::Frames, self.frames.into())?;
        limits.check(Limit::Scans, self.scans.into())?;
        limits.check(Limit::Pixels, self.pixels())?;
        Ok(self)
    }
}

impl HeaderLimits {
    /// The limit of this kind.
    #[must_use]
    pub fn get(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Width => self.width.into(),
            Limit::Height => self.height.into(),
            Limit::Pixels => self.pixels,
            Limit::Frames => self.frames.into(),
            Limit::Scans => self.scans.into(),
        }
    }

    fn check(&self, limit: Limit, found: u64) -> Result<(), HeaderError> {
        let max = self.get(limit);
        if found > max { Err(HeaderError::TooLarge { limit, max, found }) } else { Ok(()) }
    }
}

/// Which of the [`HeaderLimits`] a file exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`HeaderLimits::width`]
    Width,
    /// [`HeaderLimits::height`]
    Height,
    /// [`HeaderLimits::pixels`]
    Pixels,
    /// [`HeaderLimits::frames`]
    Frames,
    /// [`HeaderLimits::scans`]
    Scans,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Width => "pixels of width",
            Self::Height => "pixels of height",
            Self::Pixels => "pixels",
            Self::Frames => "frames",
            Self::Scans => "scans",
        })
    }
}

/// Why a file is refused. The texts are whole sentences for the person who uploaded it.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not one of [`SourceFormat`], or a kind of it that is not read.
    #[error("{}", unsupported(*.recognised))]
    Unsupported {
        /// What it is, where that is known: `a PDF`, `a lossless JPEG`.
        recognised: Option<&'static str>,
    },
    /// The file ends before its structure does.
    #[error("The {format} file is cut short.")]
    Truncated {
        /// As told from the first bytes.
        format: &'static str,
    },
    /// The structure contradicts the format.
    #[error("The file is damaged: {0}.")]
    Broken(String),
    /// More than a limit allows.
    #[error("The picture has {found} {limit}; at most {max} are accepted.")]
    TooLarge {
        /// Which limit.
        limit: Limit,
        /// The most that is accepted.
        max: u64,
        /// What the file has, or the first number past the limit where counting stopped.
        found: u64,
    },
    /// The file cannot be read: no fault of its contents.
    #[error("cannot read the file: {0}")]
    Io(#[source] io::Error),
}

impl HeaderError {
    /// What to tell the uploader; `None` where reading failed, which another attempt may cure.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let code = match self {
            Self::Unsupported { .. } => FailureCode::UnsupportedFormat,
            Self::Truncated { .. } | Self::Broken(_) => FailureCode::BrokenImage,
            Self::TooLarge { .. } => FailureCode::TooLarge,
            Self::Io(_) => return None,
        };
        Some(Failure { code, detail: self.to_string() })
    }
}

fn unsupported(recognised: Option<&str>) -> String {
    let readable = "JPEG, PNG, WebP, GIF, AVIF, JPEG XL, TIFF and BMP are read";
    match recognised {
        Some(what) => format!("This is {what}; {readable}."),
        None => format!("This is not a known kind of picture; {readable}."),
    }
}

fn broken<T>(detail: impl Into<String>) -> Result<T, HeaderError> {
    Err(HeaderError::Broken(detail.into()))
}

fn unreadable<T>(what: &'static str) -> Result<T, HeaderError> {
    Err(HeaderError::Unsupported { recognised: Some(what) })
}

/// Reads the structure of a file from its current position. Never panics; uses constant memory and time linear in the
/// length of the file.
///
/// # Errors
/// [`HeaderError`], of which only `Io` is not the file's fault.
pub fn read<R: BufRead + Seek>(reader: &mut R, limits: &HeaderLimits) -> Result<Header, HeaderError> {
    let mut magic = [0; 16];
    let mut input = Input::new(reader);
    let length = input.peek_magic(&mut magic)?;
    let header = match &magic[..length] {
        [0xFF, 0xD8, 0xFF, ..] => jpeg::read(&mut input.of("JPEG"), limits)?,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => png::read(&mut input.of("PNG"), limits)?,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => gif::read(&mut input.of("GIF"), limits)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp::read(&mut input.of("WebP"), limits)?,
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', 0x0D, 0x0A, 0x87, 0x0A, ..] => {
            jxl::read(&mut input.of("JPEG XL"), limits)?
        }
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => tiff::read(&mut input.of("TIFF"), limits)?,
        // Two letters alone are little: what is reserved must be zero, and the next header of a known length.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, _, _, _, _, 12 | 40..=124, 0, ..] => {
            bmp::read(&mut input.of("BMP"), limits)?
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            let brands = brands(&mut input)?;
            let is_avif = |brand: &[u8; 4]| matches!(brand, b"avif" | b"avis");
            match brands.first() {
                _ if brands.iter().any(is_avif) => avif::read(&mut input.of("AVIF"), limits)?,
                Some(&major) => return unreadable(recognise_brand(major)),
                None => return Err(HeaderError::Truncated { format: "image" }),
            }
        }
        other => return Err(HeaderError::Unsupported { recognised: recognise(other) }),
    };
    header.within(limits)
}

/// Reads how an AVIF is put together: for its decoder, from the same bytes that [`read`] has accepted.
pub fn avif_layout<R: BufRead + Seek>(reader: &mut R) -> Result<avif::Layout, HeaderError> {
    avif::layout(&mut Input::new(reader).of("AVIF"))
}

/// The brands of an `ftyp` box (ISO/IEC 14496-12, section 4.3), the major one first. Leaves the input where it was.
fn brands<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<Vec<[u8; 4]>, HeaderError> {
    const MAX: u32 = 64;
    let start = input.position()?;
    let words = input.be32()? / 4;
    input.skip_whole(4)?;
    let mut brands = Vec::new();
    for word in 2..words.min(MAX) {
        let brand = input.array()?;
        // The second word is a version.
        if word != 3 {
            brands.push(brand);
        }
    }
    input.move_to(start)?;
    Ok(brands)
}

/// What a container of videos or of pictures holds, told by its major brand.
fn recognise_brand(brand: [u8; 4]) -> &'static str {
    match &brand {
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => "a HEIC",
        _ => "a video",
    }
}

/// Names common files that are not read, so that the answer helps.
fn recognise(magic: &[u8]) -> Option<&'static str> {
    let text = magic.trim_ascii_start();
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    Some(match magic {
        [] => "an empty file",
        [b'%', b'P', b'D', b'F', ..] => "a PDF",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive or an office document",
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => "a BigTIFF",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop file",
        [0, 0, 1, 0, ..] => "an icon file",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => "a JPEG 2000",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "a video",
        _ if text.starts_with(b"<svg") => "an SVG",
        _ if text.starts_with(b"<?xml") => "an SVG or another XML file",
        _ if text.get(..5).is_some_and(|t| t.eq_ignore_ascii_case(b"<html") || t.eq_ignore_ascii_case(b"<!doc")) => {
            "a web page"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
