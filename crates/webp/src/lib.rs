//! An encoder of lossy WebP: VP8 key frames (RFC 6386) in a RIFF container (RFC 9649).
//!
//! | item | what it does |
//! |---|---|
//! | [`encode`], [`EncodeError`] | encodes a gray or RGB picture |
//! | [`Raster`], [`Channels`] | pixel buffers, from `darkroom-raster` |
//! | [`Quality`], [`Effort`] | settings, from `darkroom-model` |
//!
//! ```
//! use darkroom_webp::{Channels, Effort, Quality, Raster, encode};
//!
//! let samples = (0..64 * 48).flat_map(|i| [i % 64 * 4, 120, 40].map(|value| value as u8)).collect();
//! let picture = Raster { width: 64, height: 48, channels: Channels::Rgb, samples };
//!
//! let file = encode(&picture, Quality::DEFAULT, Effort::Balanced)?;
//! assert!(file.starts_with(b"RIFF") && &file[8..16] == b"WEBPVP8 ");
//! # Ok::<(), darkroom_webp::EncodeError>(())
//! ```
//!
//! # Stages
//!
//! ```text
//! RGB to YCbCr 4:2:0 ─► segments by local contrast ─► macroblocks, row by row (frame)
//! planes                segments                        │
//!                                                       ├─ luma: one mode for 16 × 16 (whole), or one for each 4 × 4 (luma4)
//!                                                       └─ chroma: one mode (whole)
//!                                                            prediction ─► DCT, WHT ─► quantization, trellis
//!                                                            prediction    transform   quantization, costs
//!
//! tokens ─► probabilities ─► boolean encoder ─► frame header and modes ─► RIFF
//! tokens    tokens           bool_encoder       header, modes             header
//! ```
//!
//! Modes are chosen by J = D + λ · R: the weighted squared error of the coefficients and the bits. Errors are measured before the
//! inverse transform, so that only the chosen mode is reconstructed. Estimates for all modes are computed with modes or blocks in
//! the lanes of a vector; the best few are quantized and their bits counted exactly.
//!
//! All arithmetic after the conversion to `YCbCr` is in integers. The code is compiled for several vector widths
//! (`darkroom_raster::simd`); every width gives the same bytes.
#![cfg_attr(not(test), forbid(unsafe_code))] // Tests call libwebp.
#![allow(clippy::needless_range_loop)] // Loops over lanes and positions index several arrays.

mod bit_cost;
mod bool_encoder;
mod coefficient_probs;
mod costs;
mod encode;
mod frame;
mod header;
mod header_budget;
mod luma4;
mod modes;
mod planes;
mod prediction;
mod quantization;
mod segments;
mod source;
mod subblock_mode_probs;
mod tokens;
mod transform;
mod tuning;
mod whole;

pub use darkroom_model::recipe::{Effort, Quality};
pub use darkroom_raster::{Channels, Raster};
pub use encode::{EncodeError, encode};
