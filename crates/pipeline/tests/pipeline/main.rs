//! The pipeline from bytes to bytes: what it reads, what it makes, what it refuses. One binary, because each that links the
//! codecs takes a hundred megabytes and its time.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // helpers of tests; patterns of bytes

mod avif;
mod choice;
mod crafted_pictures;
mod formats;
mod gamut;
mod jpeg;
mod keep;
mod overlay;
mod recipes;
mod rendered;
mod rendering;
mod seeds;
