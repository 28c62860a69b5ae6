//! Why an image failed.

use serde::{Deserialize, Serialize};

use crate::string_enum;

string_enum! {
    /// Why an image failed, for programs.
    FailureCode, "failure code" {
        /// The file is not in a supported image format.
        UnsupportedFormat = "unsupported_format",
        /// The file is damaged or truncated.
        BrokenImage = "broken_image",
        /// The image has more pixels, frames or bytes than the limits allow.
        TooLarge = "too_large",
        /// The recipe cannot be fulfilled with this image.
        Unsatisfiable = "unsatisfiable",
        /// Rendering took longer than the time limit.
        TimedOut = "timed_out",
        /// The render process crashed or failed in every attempt.
        Crashed = "crashed",
        /// The upload is no longer in staging.
        SourceMissing = "source_missing",
        /// The bucket or the database could not be reached in any attempt.
        Unavailable = "unavailable",
        /// An operator cancelled the job.
        Cancelled = "cancelled",
    }
}

/// Why an image failed. Clients see it, so it has no internal details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason for programs.
    pub code: FailureCode,
    /// The reason for people: one sentence.
    pub detail: String,
}
