//! What picture files say beside their pixels, read and written without decoding anything.
//!
//! | module | what it holds |
//! |---|---|
//! | [`header`] | format by magic bytes, dimensions, frames, scans; one file per format |
//! | [`jpeg_segments`] | the marker segments of a JPEG, read and written |
//! | [`exif`] | single tags of EXIF |
//! | [`kept_exif`] | the part of a source's EXIF that a rendition keeps |
//! | [`xmp_iptc`] | creator and copyright from XMP and IPTC |
//! | [`embed`] | ICC profile and EXIF, put into an encoded file |
//! | [`avif`] | the container around AV1 data |
#![forbid(unsafe_code)]

pub mod avif;
pub mod embed;
pub mod exif;
pub mod header;
pub mod jpeg_marker;
pub mod jpeg_segments;
pub mod kept_exif;
pub mod webp_chunks;
pub mod xmp_iptc;
