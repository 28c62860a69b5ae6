//! Why a file is refused.

use std::{fmt, io};

use darkroom_model::{Failure, FailureCode, SourceFormat};

/// One of the [`HeaderLimits`](super::HeaderLimits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`HeaderLimits::width`](super::HeaderLimits::width)
    Width,
    /// [`HeaderLimits::height`](super::HeaderLimits::height)
    Height,
    /// [`HeaderLimits::pixels`](super::HeaderLimits::pixels)
    Pixels,
    /// [`HeaderLimits::frames`](super::HeaderLimits::frames)
    Frames,
    /// [`HeaderLimits::scans`](super::HeaderLimits::scans)
    Scans,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Width => "pixels of width",
            Self::Height => "pixels of height",
            Self::Pixels => "pixels",
            Self::Frames => "frames",
            Self::Scans => "scans",
        })
    }
}

/// Why a file is refused. The texts are whole sentences for the person who uploaded it.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not one of [`SourceFormat`], or a variant of it that is not supported.
    #[error("{}", unsupported_sentence(*.detected))]
    Unsupported {
        /// The type of the file where it was detected, with its article: `a PDF`, `a lossless JPEG`.
        detected: Option<&'static str>,
    },
    /// The file ends before its structure does.
    #[error("The {format} file is cut short.")]
    Truncated {
        /// The name of the format that its first bytes indicate; `image` where that is not certain yet.
        format: &'static str,
    },
    /// The structure violates the format.
    #[error("The file is damaged: {0}.")]
    Broken(String),
    /// A limit is exceeded.
    #[error("The picture has {found} {limit}; at most {max} are accepted.")]
    TooLarge {
        /// The limit.
        limit: Limit,
        /// The largest value that is accepted.
        max: u64,
        /// The value of the file, or the first one above the limit where counting stopped.
        found: u64,
    },
    /// Reading failed. The contents of the file are not the cause.
    #[error("cannot read the file: {0}")]
    Io(#[source] io::Error),
}

impl HeaderError {
    /// The failure to report to the uploader; `None` where reading failed, which may succeed in another attempt.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let code = match self {
            Self::Unsupported { .. } => FailureCode::UnsupportedFormat,
            Self::Truncated { .. } | Self::Broken(_) => FailureCode::BrokenImage,
            Self::TooLarge { .. } => FailureCode::TooLarge,
            Self::Io(_) => return None,
        };
        Some(Failure { code, detail: self.to_string() })
    }
}

fn unsupported_sentence(detected: Option<&str>) -> String {
    let detected = detected.unwrap_or("not a known kind of picture");
    format!("This is {detected}; {} are read.", supported_formats())
}

/// The names of all [`SourceFormat`]s as an enumeration: `JPEG, PNG … and BMP`.
fn supported_formats() -> String {
    let names: Vec<&str> = SourceFormat::ALL.iter().map(|format| format.name()).collect();
    match names.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        names => names.concat(),
    }
}

pub(super) fn broken<T>(detail: impl Into<String>) -> Result<T, HeaderError> {
    Err(HeaderError::Broken(detail.into()))
}

pub(super) fn unsupported<T>(detected: &'static str) -> Result<T, HeaderError> {
    Err(HeaderError::Unsupported { detected: Some(detected) })
}
