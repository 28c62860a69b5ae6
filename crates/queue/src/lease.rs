//! A lease: the right to finish a job, held from its claim until its end is written.
//!
//! A lease is a row `Running` under a fencing number that grows with every claim. Whatever a holder writes is guarded
//! by that number, so a worker that was given up for dead, and is not, changes nothing any more.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use apalis_core::task::{Task, data::MissingDataError, from_request::FromRequest};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::job::{JobError, JobId};

/// A job as the claim returned it.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) id: JobId,
    pub(super) fence: i32,
    /// 1 for the first attempt.
    pub(super) attempt: i32,
    pub(super) max_attempts: i32,
    pub(super) crashes: i32,
    pub(super) payload: Vec<u8>,
}

/// Why an attempt should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The job belongs to another worker now, or is ended: nothing this attempt writes would count.
    LeaseLost,
    /// An operator cancelled the job.
    Cancelled,
    /// The process ends and its grace period is over; the job is handed back.
    Draining,
}

/// Why a job could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The job belongs to another worker now, or is ended. Roll back: this attempt must have no effect.
    #[error("the lease is lost: the job is another worker's or ended")]
    LeaseLost,
    /// The statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

impl From<CompleteError> for JobError {
    fn from(error: CompleteError) -> Self {
        Self::retry(error)
    }
}

/// The lease of the attempt that is running. A handler gets it as an argument.
#[derive(Clone, Debug)]
pub struct Lease(pub(super) Arc<Held>);

/// What this process knows of a lease that it holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) queue: &'static str,
    pub(super) id: JobId,
    pub(super) fence: i32,
    pub(super) attempt: i32,
    pub(super) max_attempts: i32,
    pub(super) crashes: i32,
    /// The handler has written the job's end itself.
    completed: AtomicBool,
    stop_reason: OnceLock<StopReason>,
    stop: CancellationToken,
    /// Fires when the patience after `stop` is over: the attempt is dropped.
    pub(super) evict: CancellationToken,
}

impl Held {
    pub(super) fn new(queue: &'static str, claim: &Claim) -> Self {
        Self {
            queue,
            id: claim.id,
            fence: claim.fence,
            attempt: claim.attempt,
            max_attempts: claim.max_attempts,
            crashes: claim.crashes,
            completed: AtomicBool::new(false),
            stop_reason: OnceLock::new(),
            stop: CancellationToken::new(),
            evict: CancellationToken::new(),
        }
    }

    /// Asks the attempt to stop. The first reason stands.
    pub(super) fn stop(&self, reason: StopReason) {
        if self.stop_reason.set(reason).is_ok() {
            self.stop.cancel();
        }
    }

    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.stop_reason.get().copied()
    }

    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    pub(super) fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }
}

impl Lease {
    /// Which job.
    pub fn job_id(&self) -> JobId {
        self.0.id
    }

    /// Which attempt this is, from 1. Runs that were snoozed or handed back do not count.
    pub fn attempt(&self) -> u32 {
        self.0.attempt.unsigned_abs()
    }

    /// Whether an error of this attempt would be the job's last.
    pub fn is_last_attempt(&self) -> bool {
        self.0.attempt - self.0.crashes >= self.0.max_attempts
    }

    /// Completes the job in the handler's own transaction: its effects and the job's end are one commit.
    ///
    /// Call it first in the transaction, so that all transactions lock the job before the image; then save, commit, and
    /// return `Ok`. If the transaction is rolled back, return an error.
    ///
    /// # Errors
    /// [`CompleteError::LeaseLost`]: roll back, the job is another's.
    pub async fn complete(&self, tx: &mut PgConnection) -> Result<(), CompleteError> {
        let sql = r#"UPDATE apalis.jobs SET status = 'Done', done_at = now(), hold = NULL, last_result = '{"Ok": null}'
            WHERE id = $1 AND fence = $2 AND status = 'Running'"#;
        let done = sqlx::query(sql).bind(self.0.id.to_string()).bind(self.0.fence).execute(tx).await?;
        if done.rows_affected() == 0 {
            self.0.stop(StopReason::LeaseLost);
            return Err(CompleteError::LeaseLost);
        }
        self.0.completed.store(true, Ordering::Release);
        Ok(())
    }

    /// Checks in a transaction that the lease is held, and keeps it from passing to another until that ends. For what an
    /// attempt writes before its job's end.
    ///
    /// # Errors
    /// [`CompleteError::LeaseLost`]: roll back, the job is another's.
    pub async fn hold(&self, tx: &mut PgConnection) -> Result<(), CompleteError> {
        let sql = "SELECT FROM apalis.jobs WHERE id = $1 AND fence = $2 AND status = 'Running' FOR NO KEY UPDATE";
        let held = sqlx::query(sql).bind(self.0.id.to_string()).bind(self.0.fence).fetch_optional(tx).await?;
        if held.is_none() {
            self.0.stop(StopReason::LeaseLost);
            return Err(CompleteError::LeaseLost);
        }
        Ok(())
    }

    /// Waits until the attempt should stop. A handler that goes on is dropped after
    /// [`SupervisorOptions::patience`](super::SupervisorOptions::patience).
    pub async fn stopped(&self) -> StopReason {
        self.0.stopped().await;
        self.0.stop_reason().unwrap_or(StopReason::LeaseLost)
    }

    /// Whether and why the attempt should stop.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.stop_reason()
    }

    /// Fires when the attempt should stop; for what takes a token.
    pub fn stop_token(&self) -> CancellationToken {
        self.0.stop.child_token()
    }
}

impl<Args: Sync> FromRequest<Task<Args>> for Lease {
    type Error = MissingDataError;

    async fn from_request(task: &Task<Args>) -> Result<Self, MissingDataError> {
        task.data().get_checked().cloned()
    }
}
