//! What a job is, and how an attempt at it may end.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use ulid::Ulid;

/// Any error that can cross threads.
pub type BoxError = apalis_core::error::BoxDynError;

/// Work that the queue keeps until it is done. Stored as JSON: a field may be added with `#[serde(default)]`, never
/// renamed, because old jobs wait in the table while a new version starts.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + Unpin + 'static {
    /// The queue's name, unique among all jobs.
    const QUEUE: &'static str;
    /// How many attempts may end in an error, a panic or a deadline before the job fails for good. Crashes of the
    /// worker are counted apart: see [`SupervisorOptions::max_crashes`](super::SupervisorOptions::max_crashes).
    const MAX_ATTEMPTS: u32;
}

/// Names a job. A ULID, because that is what apalis' board can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Ulid);

impl JobId {
    /// Ids, each greater than the one before: jobs of one call keep their order, and indexes grow at their end.
    pub(super) fn ascending() -> impl Iterator<Item = Self> {
        let mut ids = ulid::Generator::new();
        std::iter::repeat_with(move || Self(ids.generate().unwrap_or_else(ulid::Overflow::commit_overflow_random)))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no [`JobId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a job id: 26 letters and digits are expected")]
pub struct NotAJobId;

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        Ulid::from_string(text).map(Self).map_err(|_| NotAJobId)
    }
}

impl TryFrom<String> for JobId {
    type Error = NotAJobId;

    fn try_from(text: String) -> Result<Self, NotAJobId> {
        text.parse()
    }
}

impl Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a handler did not finish its job. Any other error of a handler counts as [`JobError::Retry`].
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Something that may pass: try again after a backoff, as long as attempts are left.
    #[error("{0}")]
    Retry(#[source] BoxError),
    /// Something that will not pass: fail for good, now.
    #[error("{0}")]
    Fail(#[source] BoxError),
    /// What ran the job for the handler died, as its worker might have: counted among its crashes, not its errors. Tried
    /// again until there are as many as may be, then quarantined.
    #[error("{0}")]
    Crash(#[source] BoxError),
    /// Not yet: run again after this time. Not an error, and costs no attempt.
    #[error("snoozed for {0:?}")]
    Snooze(Duration),
    /// The handler saw that it should stop (see [`Lease::stopped`](super::Lease::stopped)) and stopped.
    #[error("stopped")]
    Cancelled,
}

impl JobError {
    /// A [`JobError::Retry`].
    pub fn retry(source: impl Into<BoxError>) -> Self {
        Self::Retry(source.into())
    }

    /// A [`JobError::Crash`].
    pub fn crash(source: impl Into<BoxError>) -> Self {
        Self::Crash(source.into())
    }

    /// A [`JobError::Fail`].
    pub fn fail(source: impl Into<BoxError>) -> Self {
        Self::Fail(source.into())
    }
}

/// A database that does not answer may answer later.
impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        Self::retry(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written() {
        let id = JobId::ascending().next().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_value::<JobId>(serde_json::to_value(id).unwrap()).unwrap(), id);
        assert_eq!("nonsense".parse::<JobId>(), Err(NotAJobId));
    }
}
