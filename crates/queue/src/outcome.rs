//! How an attempt ends, and what becomes of its job.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::{
    job::{BoxError, JobId},
    lease::LeaseState,
    text_enum::text_enum,
};

/// Why a handler did not finish its job.
///
/// `?` turns any error into [`JobError::Retry`]; [`OrFail::or_fail`] turns it into [`JobError::Fail`]. This type does not
/// implement [`Error`] itself, so that the conversion of all errors is possible.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// Something that may pass: try again after the queue's backoff, as long as attempts are left.
    Retry(BoxError),
    /// The same, after this time in place of the backoff: what a server asked for with `Retry-After`.
    RetryAfter(BoxError, Duration),
    /// Something that will not pass: fail for good, now.
    Fail(BoxError),
    /// The process that did the work for the handler died, as the worker itself might have: counted among the job's
    /// crashes and not among its errors. Retried after the backoff; the last crash that
    /// [`max_crashes`](crate::SupervisorOptions::max_crashes) allows quarantines the job.
    Crash(BoxError),
    /// A crash as [`JobError::Crash`] is, after which every other attempt would crash too: quarantined at once.
    Quarantine(BoxError),
    /// Not yet: run again after this time. Not an error, and costs no attempt.
    Snooze(Duration),
    /// The handler noticed that it should stop (see [`Lease::stopped`](crate::Lease::stopped)) and stopped. A handler that
    /// returns this without having been asked to stop cancels its job.
    Cancelled,
}

impl JobError {
    /// A [`JobError::Retry`].
    pub fn retry(source: impl Into<BoxError>) -> Self {
        Self::Retry(source.into())
    }

    /// A [`JobError::RetryAfter`].
    pub fn retry_after(source: impl Into<BoxError>, delay: Duration) -> Self {
        Self::RetryAfter(source.into(), delay)
    }

    /// A [`JobError::Fail`].
    pub fn fail(source: impl Into<BoxError>) -> Self {
        Self::Fail(source.into())
    }

    /// A [`JobError::Crash`].
    pub fn crash(source: impl Into<BoxError>) -> Self {
        Self::Crash(source.into())
    }

    /// A [`JobError::Quarantine`].
    pub fn quarantine(source: impl Into<BoxError>) -> Self {
        Self::Quarantine(source.into())
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(source)
            | Self::RetryAfter(source, _)
            | Self::Fail(source)
            | Self::Crash(source)
            | Self::Quarantine(source) => source.fmt(f),
            Self::Snooze(delay) => write!(f, "snoozed for {delay:?}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for JobError {
    /// A [`JobError::Retry`].
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

/// Turns errors that no other attempt would cure into [`JobError::Fail`]: `parse(text).or_fail()?`.
pub trait OrFail<T> {
    /// An error becomes [`JobError::Fail`].
    fn or_fail(self) -> Result<T, JobError>;
}

impl<T, E: Into<BoxError>> OrFail<T> for Result<T, E> {
    fn or_fail(self) -> Result<T, JobError> {
        self.map_err(JobError::fail)
    }
}

text_enum! {
    /// Why a job failed for good.
    #[non_exhaustive]
    pub enum FailureReason {
        /// A handler returned [`JobError::Fail`].
        Failed = "failed",
        /// All attempts ended in an error, a panic or a deadline.
        Exhausted = "exhausted",
        /// Its worker, or a process that did the work for it, died as often as
        /// [`max_crashes`](crate::SupervisorOptions::max_crashes) allows.
        Quarantined = "quarantined",
        /// An operator cancelled it.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// How one attempt went wrong.
    #[non_exhaustive]
    pub enum ErrorKind {
        /// The handler returned an error, or the payload could not be decoded.
        Error = "error",
        /// The handler panicked.
        Panic = "panic",
        /// It ran past its deadline.
        Deadline = "deadline",
        /// Its worker died or was cut off, or a process that did the work for it died.
        Crash = "crash",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

/// The final failure of a job, as [`Handler::failed`](crate::Handler::failed) gets it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The job.
    pub id: JobId,
    /// Number of attempts.
    pub attempts: u32,
    /// Why it failed for good.
    pub reason: FailureReason,
    /// How its last attempt went wrong.
    pub kind: ErrorKind,
    /// The error's text and those of its causes: for logs and operators, not for clients. At most 2,000 characters.
    pub message: String,
    /// The handler's error itself, for `downcast_ref`. `None` where the handler returned none: a panic, a deadline, the
    /// death of the worker, a cancellation.
    pub source: Option<BoxError>,
}

/// An entry of a job's errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl AttemptError {
    /// Longest message that is kept, in characters.
    const MAX_MESSAGE: usize = 2000;

    /// Drops NUL, which Postgres' text cannot hold, and what is too long to be read.
    pub(crate) fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        let message = message.as_ref().chars().filter(|&c| c != '\0').take(Self::MAX_MESSAGE).collect();
        Self { kind, message }
    }
}

/// What becomes of a job after an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    Done,
    /// Nothing is to be written: the handler has completed the job itself, or the lease is lost.
    Settled,
    /// Back to Pending.
    Requeue {
        delay: Duration,
        /// Whether the attempt counts.
        counts: bool,
        error: Option<AttemptError>,
    },
    /// Failed for good. `source` is the handler's error, for the hook.
    Failed {
        reason: FailureReason,
        error: AttemptError,
        source: Option<BoxError>,
    },
}

impl Verdict {
    /// Back to Pending at once, as if the job had not been claimed.
    pub(crate) const HAND_BACK: Self = Self::Requeue { delay: Duration::ZERO, counts: false, error: None };
}

/// The acknowledgement of an attempt, to be written to the table.
#[derive(Debug)]
pub(crate) struct Ack {
    pub(crate) lease: Arc<LeaseState>,
    pub(crate) verdict: Verdict,
}
