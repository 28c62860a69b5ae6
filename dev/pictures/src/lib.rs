//! Test pictures, computed. The same arguments give the same bytes. One file per format.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "writing into memory cannot fail")]

mod arithmetic_jpeg;
mod avif;
mod baseline;
mod bmp;
mod exif;
mod gif;
mod heic;
mod heif;
mod icc;
mod jpeg;
mod jxl;
mod png;
mod sampled_tiff;
mod tiff;
mod webp;

pub use self::{
    arithmetic_jpeg::arithmetic_jpeg,
    avif::{Av1, avif_sequence},
    baseline::Baseline,
    bmp::bmp,
    exif::exif,
    gif::{GifFrame, RawGif, gif},
    heic::Hevc,
    heif::Heif,
    icc::gray_ink_profile,
    jpeg::{Jpeg, turned_jpeg},
    jxl::{animated_jxl, jxl, jxl_container},
    png::{compressed_chunk, interlaced_png, png, png_of_chunks, png_with, zlib},
    sampled_tiff::SampledTiff,
    tiff::Tiff,
    webp::{webp, webp_of_chunks, webp_with},
};

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// A hash of the coordinates, for pictures of noise.
#[must_use]
pub fn mixed(x: u32, y: u32) -> u32 {
    (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D)
}

/// The colour at (x, y) of a picture with four quarters, which shows its orientation: red and green above blue and
/// white.
#[must_use]
pub fn corners(width: u32, height: u32, x: u32, y: u32) -> Rgb {
    match (x < width / 2, y < height / 2) {
        (true, true) => [255, 0, 0],
        (false, true) => [0, 255, 0],
        (true, false) => [0, 0, 255],
        (false, false) => [255, 255, 255],
    }
}
