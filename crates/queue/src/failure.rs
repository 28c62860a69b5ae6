//! The end of a job for good: written in one transaction with what its queue's hook has to say.

use std::fmt;

use serde::{Deserialize, Serialize};
use sqlx::{Acquire as _, PgConnection, Row as _};
use tracing::warn;

use super::{
    inbox::Served,
    job::{BoxError, JobId},
    link::within,
};

/// Why a job failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// An attempt said that no other would help, or the job cannot be decoded.
    Failed,
    /// All attempts ended in an error, a panic or a deadline.
    Exhausted,
    /// It ran while its worker, or what ran it for its worker, died, again and again.
    Quarantined,
    /// An operator cancelled it.
    Cancelled,
}

impl FailureReason {
    /// The word for it in the table and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
            Self::Quarantined => "quarantined",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one attempt went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// It ran past its deadline.
    Deadline,
    /// Its worker died or was cut off, or what ran it for its worker died.
    Crash,
    /// It was cancelled.
    Cancelled,
}

impl ErrorKind {
    /// The word for it in the table and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Deadline => "deadline",
            Self::Crash => "crash",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An entry of a job's errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AttemptError {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

impl AttemptError {
    /// The longest message that is kept, in characters.
    const LONGEST: usize = 2000;

    /// Postgres' text has no NUL, and nobody reads a megabyte.
    pub(super) fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        let message = message.as_ref().chars().filter(|&c| c != '\0').take(Self::LONGEST).collect();
        Self { kind, message }
    }
}

/// A job's final failure, as its queue's hook sees it.
#[derive(Debug)]
pub struct Failure {
    /// Which job.
    pub id: JobId,
    /// How many attempts there were.
    pub attempts: u32,
    /// Why it failed for good.
    pub reason: FailureReason,
    /// How its last attempt went wrong.
    pub kind: ErrorKind,
    /// What was recorded of that: for logs and operators, not for clients.
    pub message: String,
    /// The handler's error itself, where one was returned, for `downcast_ref`.
    pub source: Option<BoxError>,
}

/// A final failure that is to be written.
#[derive(Debug)]
pub(super) struct Final {
    pub(super) id: JobId,
    pub(super) fence: i32,
    /// The status it is in: `Running`, or `Pending` for a job that is cancelled before it runs.
    pub(super) from: &'static str,
    pub(super) reason: FailureReason,
    pub(super) error: AttemptError,
    pub(super) source: Option<BoxError>,
}

/// Why a final failure was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FailError {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error("the hook failed: {0}")]
    Hook(BoxError),
}

/// Ends a job for good and calls its queue's hook, in one transaction. `false`: the job is not ours to end any more.
pub(super) async fn fail(conn: &mut PgConnection, failed: &mut Final, served: &dyn Served) -> Result<bool, FailError> {
    let mut tx = within(conn.begin()).await?;
    let Some((attempts, payload)) = within(mark_killed(&mut tx, failed)).await? else {
        return Ok(false);
    };
    let mut failure = Failure {
        id: failed.id,
        attempts: attempts.unsigned_abs(),
        reason: failed.reason,
        kind: failed.error.kind,
        message: failed.error.message.clone(),
        source: failed.source.take(),
    };
    let hook = within(async { Ok(served.failed(&mut tx, &payload, &failure).await) }).await;
    failed.source = failure.source.take();
    hook?.map_err(FailError::Hook)?;
    within(tx.commit()).await?;
    warn!(job = %failed.id, queue = served.queue(), attempts, reason = %failed.reason, error = failed.error.message,
        "job failed");
    Ok(true)
}

async fn mark_killed(conn: &mut PgConnection, failed: &Final) -> Result<Option<(i32, Vec<u8>)>, sqlx::Error> {
    let sql = "
        UPDATE apalis.jobs SET status = 'Killed', done_at = now(), reason = $4, hold = NULL,
            crashes = crashes + CASE WHEN $5 = 'crash' THEN 1 ELSE 0 END,
            errors = queue_add_error(errors, attempts, lock_by, $5, $6),
            last_result = jsonb_build_object('Err', $6)
        WHERE id = $1 AND fence = $2 AND status = $3
        RETURNING attempts, job";
    let row = sqlx::query(sql)
        .bind(failed.id.to_string())
        .bind(failed.fence)
        .bind(failed.from)
        .bind(failed.reason.as_str())
        .bind(failed.error.kind.as_str())
        .bind(&failed.error.message);
    Ok(row.fetch_optional(conn).await?.map(|row| (row.get(0), row.get(1))))
}
