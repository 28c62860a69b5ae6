//! Why an image failed.

use serde::{Deserialize, Serialize};

use crate::string_enum;

string_enum! {
    /// Why an image failed, as a word a program can test.
    FailureCode, "failure code" {
        /// Not a picture in a format that can be read.
        UnsupportedFormat = "unsupported_format",
        /// The file is damaged or cut short.
        BrokenImage = "broken_image",
        /// More pixels, frames or bytes than the limits allow.
        TooLarge = "too_large",
        /// What was asked for cannot be made of this picture.
        Unsatisfiable = "unsatisfiable",
        /// Rendering it took longer than the limit allows.
        TimedOut = "timed_out",
        /// Rendering it crashed again and again.
        Crashed = "crashed",
        /// The upload is no longer in staging.
        SourceMissing = "source_missing",
        /// The bucket or the database could not be reached in any attempt.
        Unavailable = "unavailable",
        /// An operator cancelled the job.
        Cancelled = "cancelled",
    }
}

/// Why an image failed, in words a person understands. Holds nothing internal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// For people: one sentence.
    pub detail: String,
}
