//! Helpers for the tests of programs that use the queue (feature `testing`). They work in the default schema.
//!
//! The queue takes all time from the database, so a test moves time by moving the stored times: see [`elapse`].

use std::{sync::Arc, time::Duration};

use sqlx::{FromRow, PgConnection, PgPool};

use crate::{
    job::{Job, JobId},
    lease::{Claim, Lease, LeaseState},
    outcome::{AttemptError, ErrorKind, Failure, FailureReason},
    schema::Schema,
    status::JobStatus,
};

/// Time between two looks of [`settled`].
const LOOK: Duration = Duration::from_millis(20);

pub(crate) const QUEUED: &str = "
    SELECT id, job AS payload FROM apalis.jobs WHERE job_type = $1 AND status IN ('Pending', 'Running') ORDER BY id";
pub(crate) const UNSETTLED: &str = "
    SELECT count(*) FROM apalis.jobs
    WHERE status = 'Running' OR status = 'Pending' AND (hold_reason IS DISTINCT FROM 'delayed' OR run_at <= now())";
pub(crate) const ENDED: &str = "
    SELECT id, job_type AS queue, status, reason, attempts FROM apalis.jobs WHERE status IN ('Done', 'Killed') ORDER BY id";
/// Leases of running jobs are not moved: their workers are alive.
pub(crate) const ELAPSE_JOBS: &str = "
    UPDATE apalis.jobs SET run_at = run_at - $1::interval, created_at = created_at - $1::interval, done_at = done_at - $1::interval
    WHERE status <> 'Running'";
pub(crate) const ELAPSE_SCHEDULES: &str = "UPDATE apalis.schedules SET last_tick = last_tick - $1::interval";

/// A finished job.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct Ended {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Done or Killed.
    pub status: JobStatus,
    /// Why it was killed.
    pub reason: Option<FailureReason>,
    /// Attempts that counted.
    pub attempts: i32,
}

/// Why [`settled`] gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StillBusy {
    /// This many jobs are due or running after the given time.
    #[error("{0} jobs are still due or running")]
    Jobs(i64),
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Why [`queued`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueuedError {
    /// A payload is not a job of this type.
    #[error("cannot decode the payload of {0}: {1}")]
    Decode(JobId, serde_json::Error),
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// The unfinished jobs of a queue, in the order in which they were enqueued. In a transaction it also sees what that
/// transaction has enqueued.
pub async fn queued<J: Job>(db: &mut PgConnection) -> Result<Vec<(JobId, J)>, QueuedError> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        id: JobId,
        payload: Vec<u8>,
    }
    let rows: Vec<Row> = sqlx::query_as(Schema::default().sql(QUEUED)).bind(J::QUEUE).fetch_all(db).await?;
    let decode = |Row { id, payload }: Row| match serde_json::from_slice(&payload) {
        Ok(job) => Ok((id, job)),
        Err(error) => Err(QueuedError::Decode(id, error)),
    };
    rows.into_iter().map(decode).collect()
}

/// A lease for calls of [`Handler::run`](crate::Handler::run) without a queue. `attempt` is from 1; the job has 20. No row
/// belongs to it, so [`Lease::complete`] and [`Lease::lock_if_held`] answer that the lease is lost.
pub fn lease(attempt: u32) -> Lease {
    let id = JobId::generate();
    let attempt = i32::try_from(attempt.max(1)).unwrap_or(i32::MAX);
    let claim = Claim { id, fence: attempt, attempt, max_attempts: 20, crashes: 0, payload: Vec::new() };
    Lease(Arc::new(LeaseState::new(&Schema::default(), "test", &claim)))
}

/// A final failure for calls of [`Handler::failed`](crate::Handler::failed): after 20 attempts, by an error.
pub fn failure(reason: FailureReason) -> Failure {
    let id = JobId::generate();
    let AttemptError { kind, message } = AttemptError::new(ErrorKind::Error, "a failure made by a test");
    Failure { id, attempts: 20, reason, kind, message, source: None }
}

/// Waits until no job is due or running in any queue, and returns all that have ended. Delayed jobs that are not due do not
/// count: [`elapse`] makes them due.
///
/// # Errors
/// [`StillBusy::Jobs`] after the time `within`.
pub async fn settled(db: &PgPool, within: Duration) -> Result<Vec<Ended>, StillBusy> {
    let schema = Schema::default();
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let unsettled: i64 = sqlx::query_scalar(schema.sql(UNSETTLED)).fetch_one(db).await?;
        if unsettled == 0 {
            return Ok(sqlx::query_as(schema.sql(ENDED)).fetch_all(db).await?);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(StillBusy::Jobs(unsettled));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Lets time pass: moves the times of all jobs that do not run, and of all schedules, back by `time`. Delayed jobs and
/// backoffs become due, schedules catch up with the ticks that lie in it. Running workers notice within a second, or at once
/// where [`SupervisorOptions::heartbeat`](crate::SupervisorOptions::heartbeat) is short.
pub async fn elapse(db: &mut PgConnection, time: Duration) -> Result<(), sqlx::Error> {
    let schema = Schema::default();
    sqlx::query(schema.sql(ELAPSE_JOBS)).bind(time).execute(&mut *db).await?;
    sqlx::query(schema.sql(ELAPSE_SCHEDULES)).bind(time).execute(db).await?;
    Ok(())
}
