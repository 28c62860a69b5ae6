//! Rendering in child processes of the worker's own binary: untrusted bytes are decoded and encoded only there.
//!
//! | file | what it holds |
//! |---|---|
//! | [`protocol`] | what worker and child say to each other |
//! | [`child`] | the child's side |
//! | [`confinement`] | what a child gives up at its start: files, network, system calls |
//! | [`grant`] | what the worker grants it for one picture: memory, processor time |
//! | [`process`] | one child from the worker's side: its deadline, and what it died of |
//! | [`pool`] | warm children, replaced when they are spent |
//! | [`admission`] | how much memory a picture needs, and when there is room for it |

pub mod admission;
pub mod child;
pub mod confinement;
pub mod grant;
pub mod pool;
pub mod process;
pub mod protocol;

use std::{io, time::Duration};

use darkroom_model::Failure;

/// Why a picture was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderFault {
    /// The picture is at fault; no other attempt would help.
    #[error("{} ({cause})", failure.detail)]
    Refused {
        /// For the uploader.
        failure: Failure,
        /// For the log.
        cause: String,
    },
    /// The pipeline failed where no picture should make it fail.
    #[error("rendering failed: {cause}")]
    Failed {
        /// For the log.
        cause: String,
    },
    /// It ran past its deadline or its processor time, and was killed.
    #[error("rendering was cut off after {deadline:?}, with {processor:?} of processor time")]
    TimedOut {
        /// The wall-clock time it had; zero where its processor time was over first.
        deadline: Duration,
        /// The processor time it had used of it; the longest there is where it had all that it was granted.
        processor: Duration,
    },
    /// It needed more memory than it was granted.
    #[error("the render process ran out of memory: {evidence}")]
    OutOfMemory {
        /// How it ended.
        evidence: String,
    },
    /// The child died or broke the protocol.
    #[error("the render process crashed: {evidence}")]
    Crashed {
        /// How it ended.
        evidence: String,
    },
    /// The receiver of renditions is gone.
    #[error("nobody takes the renditions")]
    NotTaken,
    /// A child could not be started.
    #[error("cannot start a render process: {0}")]
    Start(#[source] io::Error),
}
