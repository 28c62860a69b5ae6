//! Limits on the size of a picture, which bound the cost of decoding it.

use serde::{Deserialize, Serialize};

use super::error::{HeaderError, Limit};

/// Limits on the numbers in a header. They are checked before decoding, and bound its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLimits {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width × height, summed over the frames of an animation.
    pub pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
    /// Scans of a JPEG. A scan may touch every coefficient of the picture, so a small file with a thousand scans costs
    /// minutes; encoders write about ten.
    pub scans: u32,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { width: 65_535, height: 65_535, pixels: 100_000_000, frames: 1_000, scans: 64 }
    }
}

impl HeaderLimits {
    /// The value of a limit.
    #[must_use]
    pub fn get(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Width => self.width.into(),
            Limit::Height => self.height.into(),
            Limit::Pixels => self.pixels,
            Limit::Frames => self.frames.into(),
            Limit::Scans => self.scans.into(),
        }
    }

    pub(super) fn check(&self, limit: Limit, found: u64) -> Result<(), HeaderError> {
        let max = self.get(limit);
        if found > max { Err(HeaderError::TooLarge { limit, max, found }) } else { Ok(()) }
    }
}
