//! Image file containers: format detection, headers and metadata, read and written without decoding pixels.
//!
//! | item | what it does |
//! |---|---|
//! | [`header::read`], [`header::Header`], [`header::HeaderLimits`] | format by the first bytes, dimensions, frames, scans, within limits |
//! | [`header::avif_layout`], [`header::heif`] | the items and properties of an AVIF file, for its decoder |
//! | [`header::gif_layout`], [`header::gif`] | the frames of a GIF, for its decoder |
//! | [`header::tiff_layout`], [`header::tiff`] | the directory of a TIFF file, for its decoder |
//! | [`header::bmp_layout`], [`header::bmp`] | the headers of a BMP file, for its decoder |
//! | [`jpeg_segments`], [`jpeg_marker`] | the marker segments of a JPEG: EXIF, ICC profile, IPTC; writing |
//! | [`png_chunks`] | the chunks of a PNG: EXIF |
//! | [`webp_chunks`] | the chunks of a WebP: EXIF |
//! | [`exif`] | the orientation tag |
//! | [`upright`] | the size of a picture after orientation |
//! | [`exif_filter`] | the EXIF of a rendition: an allowlist of tags |
//! | [`xmp_iptc`] | creator and copyright notice from XMP and IPTC |
//! | [`embed`] | embeds EXIF and ICC profile into an encoded JPEG, PNG, WebP or AVIF |
//! | [`avif_container`] | writes an AVIF file around AV1 data |
//!
//! ```
//! use std::io::Cursor;
//!
//! use darkroom_container::header::{self, HeaderError, HeaderLimits};
//! use darkroom_model::SourceFormat;
//!
//! // The header of a GIF of 20 × 10 pixels, and one frame.
//! let mut file = b"GIF89a\x14\0\x0A\0\0\0\0".to_vec();
//! file.extend(b"\x2C\0\0\0\0\x14\0\x0A\0\0\x02\x02\x44\x01\0\x3B");
//! let header = header::read(&mut Cursor::new(&file), &HeaderLimits::default())?;
//! assert_eq!((header.format, header.width, header.height, header.frames), (SourceFormat::Gif, 20, 10, 1));
//!
//! // Everything else is an error with a sentence for the person who sent the file.
//! let error = header::read(&mut Cursor::new(b"%PDF-1.7"), &HeaderLimits::default()).unwrap_err();
//! assert!(matches!(error, HeaderError::Unsupported { detected: Some("a PDF") }));
//! # Ok::<(), HeaderError>(())
//! ```
//!
//! No input causes a panic: files are untrusted. Readers take constant memory and linear time unless their documentation says
//! otherwise.
#![forbid(unsafe_code)]

pub mod avif_container;
pub mod embed;
pub mod exif;
pub mod exif_filter;
pub mod header;
pub mod jpeg_marker;
pub mod jpeg_segments;
pub mod png_chunks;
pub mod upright;
pub mod webp_chunks;
pub mod xmp_iptc;
