//! JPEG (ITU-T T.81): a baseline decoder for reduced sizes, and a progressive encoder.
//!
//! | item | what it does |
//! |---|---|
//! | [`decode_reduced`], [`NotReduced`] | decodes a baseline JPEG at one to four eighths of its size |
//! | [`encode`], [`EncodeError`] | encodes a gray or RGB picture as progressive JPEG with optimized Huffman tables |
//! | [`Raster`], [`Channels`] | pixel buffers, from `darkroom-raster` |
//! | [`Quality`], [`Effort`] | settings of the encoder, from `darkroom-model` |
//!
//! ```
//! use darkroom_jpeg::{Channels, Effort, Quality, Raster, decode_reduced, encode};
//!
//! // A baseline JPEG of 64 × 48 pixels, made by another encoder.
//! let mut baseline = Vec::new();
//! let pixels = [200; 64 * 48 * 3];
//! jpeg_encoder::Encoder::new(&mut baseline, 90).encode(&pixels, 64, 48, jpeg_encoder::ColorType::Rgb)?;
//!
//! // Two eighths of it: 16 × 12 pixels.
//! let thumbnail: Raster<u8> = decode_reduced(&baseline, (64, 48), 2).expect("a baseline JPEG");
//! assert_eq!((thumbnail.width, thumbnail.height, thumbnail.channels), (16, 12, Channels::Rgb));
//!
//! let progressive = encode(&thumbnail, Quality::DEFAULT, Effort::Balanced)?;
//! assert!(progressive.starts_with(&[0xFF, 0xD8]));
//!
//! // Progressive files need a complete decoder, such as libjpeg.
//! assert!(decode_reduced(&progressive, (16, 12), 2).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Stages
//!
//! ```text
//! decode  marker segments ─► entropy-coded segments ─► MCUs ─► data units ─► reduced IDCT ─► YCbCr to RGB
//!         frame, tables      entropy_coded_segments    mcu     data_unit     idct            colour_conversion
//!                                                              huffman, ac_lookup
//!
//! encode  RGB to YCbCr,      ─► FDCT ─► quantization ─► DC and AC scans   ─► Huffman tables ─► marker segments
//!         chroma subsampling    fdct    quantization    dc_scan, ac_scan     huffman           marker_segments
//!         colour_conversion             trellis         symbols
//! ```
//!
//! Both directions work on `f32` samples and are compiled for several vector widths (`darkroom_raster::simd`); every width
//! gives the same bits.
#![forbid(unsafe_code)]

mod dct_basis;
mod decode;
mod encode;
mod zigzag;

pub use darkroom_model::recipe::{Effort, Quality};
pub use darkroom_raster::{Channels, Raster};
pub use decode::{NotReduced, decode_reduced};
pub use encode::{EncodeError, encode};
