//! What is known of an image and of its renditions.

use serde::{Deserialize, Serialize};

use crate::{RenditionFormat, SourceFormat, string_enum};

string_enum! {
    /// Where an image stands in its life.
    Status, "status" {
        /// Accepted and safe; waits for a worker.
        Queued = "queued",
        /// A worker renders it.
        Processing = "processing",
        /// Every rendition is in the bucket.
        Ready = "ready",
        /// It will not be rendered; `error` says why.
        Failed = "failed",
        /// Its objects and its row are being removed.
        Deleting = "deleting",
    }
}

/// What an upload's header and its bytes say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// By magic bytes.
    pub format: SourceFormat,
    /// Pixels, as stored (before orientation is applied).
    pub width: u32,
    /// Pixels, as stored (before orientation is applied).
    pub height: u32,
    /// 1 for a still picture.
    pub frames: u32,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// What rendering an image has taught of it: of its first frame, upright, cropped as its largest rendition is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageAnalysis {
    /// A `ThumbHash`.
    pub placeholder: Vec<u8>,
    /// The colour that most of it has, in sRGB: red, green, blue.
    pub dominant_colour: [u8; 3],
    /// A difference hash (dHash): the number of bits in which two differ says how unlike their pictures are, from 0 to
    /// 64; up to about 10 they look alike.
    pub perceptual_hash: u64,
}

/// A rendition that lies in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Unique within its image, for example `w800.webp`.
    pub name: String,
    /// What it is encoded as.
    pub format: RenditionFormat,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Length of the object.
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
