//! Limits on uploads.

use darkroom_container::header::HeaderLimits;

use super::{
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    MAX_UPLOAD_BYTES = Setting::with_default("33554432", "Maximum length of an uploaded file, in bytes.");
    MAX_PIXELS = Setting::with_default("100000000", "Maximum pixels of an image, summed over its frames.");
    MAX_FRAMES = Setting::with_default("1000", "Maximum frames of an animation.");
}

/// Limits on uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// Pixels, summed over frames.
    pub pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
}

impl UploadLimits {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bytes = reader.number(&MAX_UPLOAD_BYTES, 1, 1 << 32);
        let pixels = reader.number(&MAX_PIXELS, 1, 1 << 32);
        let frames = reader.number(&MAX_FRAMES, 1, 100_000);
        Some(Self { bytes: bytes?, pixels: pixels?, frames: frames? })
    }
}

/// These limits, and the defaults of those that have no setting.
impl From<UploadLimits> for HeaderLimits {
    fn from(UploadLimits { pixels, frames, .. }: UploadLimits) -> Self {
        Self { pixels, frames, ..Self::default() }
    }
}
