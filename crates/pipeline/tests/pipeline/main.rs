//! Tests of the public API: what is read, made and refused. One test binary, because each one that links the codecs takes a
//! hundred megabytes and the time to link them.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "test helpers; byte patterns")]

mod animations;
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
mod sizes;
mod still;
