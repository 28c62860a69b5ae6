//! A job and its id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use ulid::Ulid;

/// Any error that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Work that the queue keeps until it is done. One type is one queue: concurrency, limit, lanes, deadline and pause belong
/// to it.
///
/// Stored as JSON. During a rolling deploy old and new programs read each other's jobs, so add fields with
/// `#[serde(default)]` and do not rename any. A job that a program cannot decode costs one attempt and is retried after
/// the backoff, so that a program that knows it can take it.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + Unpin + 'static {
    /// The name of the queue, unique among all jobs.
    const QUEUE: &'static str;
    /// How many attempts may end in an error, a panic or a deadline before the job fails for good; 1 or more. Crashes of
    /// the worker are counted apart: see [`SupervisorOptions::max_crashes`](crate::SupervisorOptions::max_crashes).
    const MAX_ATTEMPTS: u32 = 20;
}

/// The id of a job: a ULID, as apalis' board expects. Ids sort by the time at which they were made, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Ulid);

impl JobId {
    /// A new id.
    #[cfg(feature = "testing")]
    pub(crate) fn generate() -> Self {
        Self(Ulid::generate())
    }

    /// Ids, each greater than the one before: jobs of one call keep their order, and indexes grow at their end.
    pub(crate) fn ascending() -> impl Iterator<Item = Self> {
        let mut ids = ulid::Generator::new();
        std::iter::repeat_with(move || Self(ids.generate().unwrap_or_else(ulid::Overflow::commit_overflow_random)))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a [`JobId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a job id: 26 letters and digits are expected")]
pub struct InvalidJobId;

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        Ulid::from_string(text).map(Self).map_err(|_| InvalidJobId)
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, InvalidJobId> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written() {
        let id = JobId::ascending().next().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_value::<JobId>(serde_json::to_value(id).unwrap()).unwrap(), id);
        assert_eq!("nonsense".parse::<JobId>(), Err(InvalidJobId));
    }
}
