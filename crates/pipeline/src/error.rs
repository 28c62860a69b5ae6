//! Why a picture was not rendered.

use std::fmt::Display;

use darkroom_container::{
    embed::EmbedError,
    header::{HeaderError, Limit},
};
use darkroom_model::{Failure, FailureCode, SourceFormat};
use darkroom_raster::ResizeError;

/// Why a rendition could not be taken by its receiver.
pub type EmitError = Box<dyn std::error::Error + Send + Sync>;

/// Why a picture was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The header is damaged, of an unknown format, or exceeds a limit.
    #[error(transparent)]
    Refused(#[from] HeaderError),
    /// The file is damaged or of a kind that is not read, or the recipe cannot be met with it.
    #[error("{} ({cause})", failure.detail)]
    Faulty {
        /// Code and text for the uploader.
        failure: Failure,
        /// The decoder's message, for the log.
        cause: String,
    },
    /// The receiver of renditions returned an error.
    #[error("a rendition could not be taken: {0}")]
    Emit(#[source] EmitError),
    /// An allocation failed in a library that reports it. Another attempt with more memory may succeed.
    #[error("out of memory: {0}")]
    OutOfMemory(&'static str),
    /// A bug, or another resource that ran out. Not the file's fault.
    #[error("rendering failed: {0}")]
    Internal(String),
}

impl From<ResizeError> for RenderError {
    fn from(error: ResizeError) -> Self {
        Self::internal(error)
    }
}

impl From<EmbedError> for RenderError {
    fn from(error: EmbedError) -> Self {
        Self::internal(error)
    }
}

impl RenderError {
    /// The failure to report to the uploader where the file or the recipe is at fault, so that another attempt would fail in
    /// the same way. `None` where another attempt may succeed.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Refused(error) => error.failure(),
            Self::Faulty { failure, .. } => Some(failure.clone()),
            Self::Emit(_) | Self::OutOfMemory(_) | Self::Internal(_) => None,
        }
    }

    /// The error of an overlay as an error of the picture it belongs to: a fault of the overlay's file makes the recipe
    /// unsatisfiable ([`FailureCode::Unsatisfiable`]). Other errors stay as they are.
    #[must_use]
    pub fn of_overlay(self) -> Self {
        match self.failure() {
            Some(Failure { detail, .. }) => {
                let detail = format!("The overlay cannot be used. {detail}");
                Self::Faulty {
                    failure: Failure { code: FailureCode::Unsatisfiable, detail },
                    cause: format!("of the overlay: {self}"),
                }
            }
            None => self,
        }
    }

    /// Not the file's fault.
    pub(crate) fn internal(cause: impl Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// The file's contents contradict its format. `format` is the format's name in the text for the uploader.
    pub(crate) fn damaged(format: &str, cause: impl Display) -> Self {
        Self::faulty(FailureCode::BrokenImage, format!("The {format} file is damaged."), cause)
    }

    /// The file ends before its picture does.
    pub(crate) fn truncated(format: &str, cause: impl Display) -> Self {
        let detail = format!("The {format} file is cut short: it ends before the picture does.");
        Self::faulty(FailureCode::BrokenImage, detail, cause)
    }

    /// The decoder panicked: a bug of it that this file meets.
    pub(crate) fn decoder_panicked(format: SourceFormat, message: &str) -> Self {
        let name = format.name();
        let detail = format!("The {name} file is damaged, or of a kind that its decoder does not read.");
        Self::faulty(FailureCode::BrokenImage, detail, format!("the decoder panicked: {message}"))
    }

    /// A valid kind of the format that is not read. `detail` is a whole sentence for the uploader.
    pub(crate) fn unsupported(detail: impl Into<String>, cause: impl Display) -> Self {
        Self::faulty(FailureCode::UnsupportedFormat, detail, cause)
    }

    /// The recipe cannot be met with this picture. `detail` is a whole sentence for the uploader.
    pub(crate) fn unsatisfiable(detail: impl Into<String>) -> Self {
        Self::faulty(FailureCode::Unsatisfiable, detail, "by recipe")
    }

    /// A limit that was exceeded while decoding.
    pub(crate) fn limit_exceeded(limit: Limit, max: u64) -> Self {
        HeaderError::TooLarge { limit, max, found: max + 1 }.into()
    }

    fn faulty(code: FailureCode, detail: impl Into<String>, cause: impl Display) -> Self {
        Self::Faulty { failure: Failure { code, detail: detail.into() }, cause: cause.to_string() }
    }
}
