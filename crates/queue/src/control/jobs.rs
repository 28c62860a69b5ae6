//! Reading jobs: lists, one job, its errors.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::Control;
use crate::{
    job::JobId,
    outcome::{ErrorKind, FailureReason},
    status::{HoldReason, JobStatus},
};

/// Which jobs to list.
#[derive(Clone, Debug)]
pub struct JobFilter {
    queue: Option<String>,
    status: Option<JobStatus>,
    before: Option<JobId>,
    limit: u32,
}

impl Default for JobFilter {
    /// The newest 50 jobs.
    fn default() -> Self {
        Self { queue: None, status: None, before: None, limit: 50 }
    }
}

impl JobFilter {
    /// Only this queue's jobs.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Only jobs in this state.
    #[must_use]
    pub fn status(mut self, status: JobStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only jobs older than this one: the last of the previous page.
    #[must_use]
    pub fn before(mut self, job: JobId) -> Self {
        self.before = Some(job);
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, jobs: u32) -> Self {
        self.limit = jobs;
        self
    }
}

/// A job in a list.
#[derive(Clone, Debug, FromRow, Serialize)]
#[non_exhaustive]
pub struct JobSummary {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Its state.
    pub status: JobStatus,
    /// Why it is not claimed in turn.
    pub hold_reason: Option<HoldReason>,
    /// Why it was killed.
    pub reason: Option<FailureReason>,
    /// Higher is claimed first.
    pub priority: i32,
    /// Its lane.
    pub lane: Option<String>,
    /// Its key: no other job of its queue has it.
    pub key: Option<String>,
    /// Its key among the unfinished jobs of its queue.
    pub once_key: Option<String>,
    /// Attempts that count.
    pub attempts: i32,
    /// How many of them may end in an error.
    pub max_attempts: i32,
    /// How many ended with the death of their worker.
    pub crashes: i32,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// When its current or last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became Done or Killed.
    pub ended_at: Option<DateTime<Utc>>,
    /// The worker of its current or last attempt.
    pub worker: Option<String>,
}

/// A job with its payload and its errors.
#[derive(Clone, Debug, FromRow, Serialize)]
#[non_exhaustive]
pub struct JobDetail {
    /// The columns of a list.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The payload; `null` where it is not JSON.
    #[sqlx(try_from = "Vec<u8>")]
    pub payload: Payload,
    /// The last 20 errors, oldest first.
    #[sqlx(json)]
    pub errors: Vec<PastError>,
}

/// The payload of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Payload(pub serde_json::Value);

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

/// How one attempt went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PastError {
    /// The number of the attempt, from 1.
    pub attempt: i32,
    /// In what way.
    pub kind: ErrorKind,
    /// For operators, not for clients.
    pub message: String,
    /// The worker of the attempt.
    pub worker: Option<String>,
    /// When it was recorded.
    pub at: DateTime<Utc>,
}

macro_rules! select_summary {
    ($rest:literal) => {
        concat!(
            "SELECT id, job_type AS queue, status, hold_reason, reason, priority, lane, idempotency_key AS key, once_key,
                attempts, max_attempts, crashes, created_at, run_at, lock_at AS started_at, done_at AS ended_at,
                lock_by AS worker",
            $rest
        )
    };
}

pub(crate) const LIST: &str = select_summary!(
    " FROM apalis.jobs
    WHERE ($1::text IS NULL OR job_type = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR id < $3)
    ORDER BY id DESC LIMIT $4"
);
pub(crate) const SHOW: &str =
    select_summary!(", job AS payload, coalesce(errors, '[]') AS errors FROM apalis.jobs WHERE id = $1");
pub(crate) const FIND: &str = "SELECT id FROM apalis.jobs WHERE job_type = $1 AND idempotency_key = $2";
impl Control<'_> {
    /// Jobs, newest first.
    pub async fn list(&mut self, filter: &JobFilter) -> Result<Vec<JobSummary>, sqlx::Error> {
        let JobFilter { queue, status, before, limit } = filter;
        let query =
            sqlx::query_as(self.schema.sql(LIST)).bind(queue).bind(*status).bind(before.map(|id| id.to_string()));
        query.bind(i64::from(*limit)).fetch_all(&mut *self.db).await
    }

    /// One job. `None`: there is none, or it was pruned.
    pub async fn show(&mut self, id: JobId) -> Result<Option<JobDetail>, sqlx::Error> {
        sqlx::query_as(self.schema.sql(SHOW)).bind(id.to_string()).fetch_optional(&mut *self.db).await
    }

    /// The job of a queue that has this [key](crate::Enqueue::key), in whatever state.
    pub async fn find(&mut self, queue: &str, key: &str) -> Result<Option<JobId>, sqlx::Error> {
        #[derive(FromRow)]
        struct Row {
            #[sqlx(try_from = "String")]
            id: JobId,
        }
        let row: Option<Row> =
            sqlx::query_as(self.schema.sql(FIND)).bind(queue).bind(key).fetch_optional(&mut *self.db).await?;
        Ok(row.map(|row| row.id))
    }
}
