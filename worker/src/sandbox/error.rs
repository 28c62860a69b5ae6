//! Why a picture was not rendered.

use std::{io, os::unix::process::ExitStatusExt as _, process::ExitStatus, time::Duration};

use darkroom_model::Failure;
use rustix::process::Signal;

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
        /// What caused it, as far as its end tells.
        cause: CrashCause,
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

/// What caused the death of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashCause {
    /// The picture: an abort (of a panic or an assertion), an illegal instruction, a forbidden system call, an exit, or a
    /// reply that breaks the protocol. It would crash every child.
    Picture,
    /// Either the picture caused it, or the memory limit did: a child also gets SIGSEGV when its stack cannot grow.
    PictureOrMemory,
    /// The machine or an operator: the kernel's OOM killer, another signal from outside, or an end of which nothing is known.
    Machine,
}

impl CrashCause {
    /// The cause of this end of a process that was rendering.
    pub(super) fn of(status: ExitStatus) -> Self {
        match status.signal().map(Signal::from_named_raw) {
            Some(Some(Signal::ABORT | Signal::ILL | Signal::FPE | Signal::TRAP | Signal::SYS)) => Self::Picture,
            Some(Some(Signal::SEGV)) => Self::PictureOrMemory,
            // SIGKILL of the OOM killer; SIGBUS of memory or a disk that is broken.
            Some(_) => Self::Machine,
            // A child exits with 0 when its connection breaks.
            None if status.success() => Self::Machine,
            None => Self::Picture,
        }
    }
}

impl SandboxError {
    /// Whether the child that returned this error can render another picture.
    pub(super) fn leaves_child_usable(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_child_tells_what_caused_it() {
        let by_signal = |signal: Signal| CrashCause::of(ExitStatus::from_raw(signal.as_raw()));
        for signal in [Signal::ABORT, Signal::ILL, Signal::FPE, Signal::SYS, Signal::TRAP] {
            assert_eq!(by_signal(signal), CrashCause::Picture, "{signal:?}");
        }
        assert_eq!(by_signal(Signal::SEGV), CrashCause::PictureOrMemory);
        for signal in [Signal::KILL, Signal::TERM, Signal::BUS] {
            assert_eq!(by_signal(signal), CrashCause::Machine, "{signal:?}");
        }
        let by_exit = |code| CrashCause::of(ExitStatus::from_raw(code << 8));
        assert_eq!((by_exit(7), by_exit(0)), (CrashCause::Picture, CrashCause::Machine));
    }
}
