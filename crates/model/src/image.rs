//! Images and their renditions.

use serde::{Deserialize, Serialize};

use crate::{RenditionFormat, SourceFormat, string_enum};

string_enum! {
    /// The state of an image in its lifecycle.
    Status, "status" {
        /// Accepted and durable; waits for a worker.
        Queued = "queued",
        /// A worker is rendering it.
        Processing = "processing",
        /// Every rendition is in the bucket.
        Ready = "ready",
        /// It will not be rendered; its [`Failure`](crate::Failure) has the reason.
        Failed = "failed",
        /// Its objects and its row are being removed.
        Deleting = "deleting",
    }
}

/// An uploaded file, as its header and its bytes describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The format, detected from the magic bytes.
    pub format: SourceFormat,
    /// Width in pixels as stored, before the orientation is applied.
    pub width: u32,
    /// Height in pixels as stored, before the orientation is applied.
    pub height: u32,
    /// Frames of an animation; 1 for a still image.
    pub frames: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// Properties of an image that rendering it has computed, from the first frame of its largest rendition (upright and
/// cropped).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageAnalysis {
    /// A `ThumbHash` (<https://evanw.github.io/thumbhash/>), at most 25 bytes.
    pub placeholder: Vec<u8>,
    /// The most frequent colour in sRGB: red, green, blue.
    pub dominant_colour: [u8; 3],
    /// A difference hash (dHash) of 64 bits. The Hamming distance of two hashes measures the difference of their images; up
    /// to about 10 they look alike.
    pub perceptual_hash: u64,
}

/// A rendition: an output file in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// The name, unique within its image, for example `w800.webp`.
    pub name: String,
    /// The file format.
    pub format: RenditionFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// SHA-256 of the object.
    pub sha256: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_enums_round_trip() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("paused".parse::<Status>().is_err());
    }
}
