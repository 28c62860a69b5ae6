//! Why a picture was not rendered.

use std::{io, time::Duration};

use darkroom_model::Failure;

use super::confinement::Confinement;

/// Why a picture was not rendered. Causes and evidence are for the log.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The pipeline refuses the picture; another attempt would not help.
    #[error("{} ({cause})", failure.detail)]
    Refused {
        /// For the uploader.
        failure: Failure,
        /// The pipeline's error.
        cause: String,
    },
    /// The pipeline failed for a reason that does not lie in the picture.
    #[error("rendering failed: {cause}")]
    Failed {
        /// The pipeline's error.
        cause: String,
    },
    /// The child was killed at its deadline or at its limit of CPU time.
    #[error("rendering was killed after {deadline:?}, with {cpu_time:?} of CPU time")]
    TimedOut {
        /// The wall-clock deadline; zero if the child reached its limit of CPU time first.
        deadline: Duration,
        /// CPU time used; [`Duration::MAX`] if the child reached its limit.
        cpu_time: Duration,
    },
    /// The child needed more memory than its limit.
    #[error("the render process ran out of memory: {evidence}")]
    OutOfMemory {
        /// Exit status and standard error, or the pipeline's error.
        evidence: String,
    },
    /// The child died, or broke the protocol and was killed.
    #[error("the render process crashed: {evidence}")]
    Crashed {
        /// Exit status and standard error, or the protocol error.
        evidence: String,
    },
    /// The receiver of the renditions was dropped.
    #[error("the receiver of the renditions is closed")]
    ReceiverClosed,
    /// A child could not be started, or none became idle in time.
    #[error("cannot start a render process: {0}")]
    Spawn(#[source] io::Error),
    /// Confinement is required, and the system supports too little of it.
    #[error(
        "the system does not confine render processes (seccomp: {}, Landlock: {}), and SANDBOX=require forbids to render \
         without it",
        .0.seccomp, .0.landlock
    )]
    Unconfined(Confinement),
}

impl SandboxError {
    /// Whether the child that returned this error can render another picture.
    pub(super) fn leaves_child_usable(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Failed { .. })
    }
}
