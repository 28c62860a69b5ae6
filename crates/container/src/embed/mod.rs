//! Embeds EXIF, ICC profile and gamut into encoded files: one function per output format, in one file each.

mod avif;
mod jpeg;
mod png;
mod webp;

use std::fmt::Display;

use darkroom_model::recipe::Gamut;

use crate::{avif_container::AvifWriteError, header::HeaderError, jpeg_segments::SegmentTooLong};

pub use avif::embed_in_avif;
pub use jpeg::embed_in_jpeg;
pub use png::embed_in_png;
pub use webp::embed_in_webp;

/// Metadata cannot be embedded: the file is not a valid one, or the metadata is too long. The files are our own, so this is a
/// bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata cannot be embedded: {0}")]
pub struct EmbedError(String);

impl EmbedError {
    fn bug(cause: impl Display) -> Self {
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

impl From<AvifWriteError> for EmbedError {
    fn from(error: AvifWriteError) -> Self {
        Self(error.to_string())
    }
}

/// Metadata to embed into a rendition. The default is none: readers assume sRGB.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedMetadata {
    /// The colour primaries of the samples. Only AVIF stores them; the other formats have the profile.
    pub gamut: Gamut,
    /// The ICC profile of the gamut; `None` for sRGB.
    pub profile: Option<Vec<u8>>,
    /// EXIF as a TIFF structure, without `Exif\0\0`; less than 64 KiB.
    pub exif: Option<Vec<u8>>,
}

impl EmbeddedMetadata {
    fn is_empty(&self) -> bool {
        self.profile.is_none() && self.exif.is_none()
    }
}

fn insert(mut file: Vec<u8>, position: usize, bytes: Vec<u8>) -> Result<Vec<u8>, EmbedError> {
    if position > file.len() {
        return Err(EmbedError::bug("the file is cut short"));
    }
    file.splice(position..position, bytes);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use darkroom_model::recipe::Gamut;

    use super::*;

    pub(super) fn metadata() -> EmbeddedMetadata {
        let exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
        EmbeddedMetadata { gamut: Gamut::P3, profile: Some(vec![7; 500]), exif: Some(exif) }
    }

    type Embed = fn(Vec<u8>, &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError>;
    const FORMATS: [Embed; 4] = [embed_in_jpeg, embed_in_png, embed_in_webp, embed_in_avif];

    #[test]
    fn without_metadata_a_file_is_unchanged() {
        for embed in FORMATS {
            assert_eq!(embed(vec![1, 2], &EmbeddedMetadata::default()).unwrap(), [1, 2]);
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        for (embed, file) in FORMATS.into_iter().zip([&b"\xFF"[..], b"RIFF", b"RIFF", b"RIFF"]) {
            assert!(embed(file.to_vec(), &metadata()).is_err(), "{file:?}");
        }
    }
}
