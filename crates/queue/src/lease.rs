//! A lease: the right to finish a job, from its claim until its acknowledgement is written.
//!
//! A leased job is a row `Running` under a fencing token that grows with every claim. Every write of a holder names the
//! token, so a worker that was taken for dead, and is not, can no longer change the job.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{job::JobId, schema::Schema};

/// A job as the claim returned it.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) id: JobId,
    pub(crate) fence: i32,
    /// 1 for the first attempt.
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) crashes: i32,
    pub(crate) payload: Vec<u8>,
}

/// Why an attempt should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Another worker has the job, or it has ended: nothing this attempt writes would count.
    LeaseLost,
    /// An operator cancelled the job.
    Cancelled,
    /// The process ends and its grace period is over; the job is handed back.
    Draining,
}

/// Why a job could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// Another worker has the job, or it has ended. Roll back: this attempt must have no effect.
    #[error("the lease is lost: another worker has the job, or it has ended")]
    LeaseLost,
    /// The statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// The lease of an attempt. A handler gets it as its second argument. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct Lease(pub(crate) Arc<LeaseState>);

/// Number of claims of this process.
static CLAIMS: AtomicU64 = AtomicU64::new(0);

/// The state of a lease that this process holds.
#[derive(Debug)]
pub(crate) struct LeaseState {
    /// Its place in the order in which this process claims.
    claim_number: u64,
    schema: Schema,
    pub(crate) queue: &'static str,
    pub(crate) id: JobId,
    pub(crate) fence: i32,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) crashes: i32,
    /// The handler has completed the job in a transaction of its own.
    completed: AtomicBool,
    /// The table may say that the attempt only waits.
    idle_announced: AtomicBool,
    stop_reason: OnceLock<StopReason>,
    stop: CancellationToken,
    /// The attempt's slot in its queue, while it has one.
    slot: OnceLock<Slot>,
    slot_released: AtomicBool,
    idle: Mutex<IdleTime>,
    /// Drops the attempt, which did not stop when it was asked to.
    pub(crate) evict: CancellationToken,
}

/// A place among the jobs that a queue runs at once in this process.
pub(crate) struct Slot {
    /// Gives the place to another job.
    pub(crate) free: Box<dyn Fn() + Send + Sync>,
    /// The process drains.
    pub(crate) draining: CancellationToken,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// How long an attempt has waited without working.
#[derive(Clone, Copy, Debug, Default)]
struct IdleTime {
    /// The waits that have ended.
    total: Duration,
    /// The start of the present wait.
    since: Option<Instant>,
}

impl LeaseState {
    pub(crate) fn new(schema: &Schema, queue: &'static str, claim: &Claim) -> Self {
        Self {
            claim_number: CLAIMS.fetch_add(1, Ordering::Relaxed),
            schema: schema.clone(),
            queue,
            id: claim.id,
            fence: claim.fence,
            attempt: claim.attempt,
            max_attempts: claim.max_attempts,
            crashes: claim.crashes,
            completed: AtomicBool::new(false),
            idle_announced: AtomicBool::new(false),
            stop_reason: OnceLock::new(),
            stop: CancellationToken::new(),
            slot: OnceLock::new(),
            slot_released: AtomicBool::new(false),
            idle: Mutex::default(),
            evict: CancellationToken::new(),
        }
    }

    /// Asks the attempt to stop. The first reason wins.
    pub(crate) fn stop(&self, reason: StopReason) {
        if self.stop_reason.set(reason).is_ok() {
            self.stop.cancel();
        }
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.stop_reason.get().copied()
    }

    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Sets the slot in which the attempt runs; before the handler is called.
    pub(crate) fn set_slot(&self, slot: Slot) {
        _ = self.slot.set(slot);
    }

    /// Gives the slot to another job. A second call does nothing.
    pub(crate) fn release_slot(&self) {
        if !self.slot_released.swap(true, Ordering::AcqRel)
            && let Some(slot) = self.slot.get()
        {
            (slot.free)();
        }
    }

    fn lock_idle(&self) -> MutexGuard<'_, IdleTime> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the attempt is in [`Lease::wait_idle`].
    pub(crate) fn is_idle(&self) -> bool {
        self.lock_idle().since.is_some()
    }

    /// How long the attempt has been in [`Lease::wait_idle`].
    pub(crate) fn idle_time(&self) -> Duration {
        let idle = self.lock_idle();
        idle.total + idle.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }
}

pub(crate) const COMPLETE: &str = r#"
    UPDATE apalis.jobs SET status = 'Done', done_at = now(), hold_reason = NULL, last_result = '{"Ok": null}'
    WHERE id = $1 AND fence = $2 AND status = 'Running'"#;
pub(crate) const LOCK: &str =
    "SELECT FROM apalis.jobs WHERE id = $1 AND fence = $2 AND status = 'Running' FOR NO KEY UPDATE";
pub(crate) const ANNOUNCE_IDLE: &str =
    "UPDATE apalis.jobs SET idle_fence = fence WHERE id = $1 AND fence = $2 AND status = 'Running'";
pub(crate) const BEGIN: &str =
    "UPDATE apalis.jobs SET idle_fence = NULL WHERE id = $1 AND fence = $2 AND status = 'Running'";

impl Lease {
    /// The id of the job.
    pub fn job_id(&self) -> JobId {
        self.0.id
    }

    /// The number of this attempt, from 1. Runs that were snoozed or handed back do not count.
    pub fn attempt(&self) -> u32 {
        self.0.attempt.unsigned_abs()
    }

    /// A number that is larger than those of all jobs that this process claimed before. Handlers start in about this order, and
    /// the first things they wait for can change it.
    pub fn claim_number(&self) -> u64 {
        self.0.claim_number
    }

    /// How many earlier attempts ended with a crash: the death of their worker, or [`JobError::Crash`](crate::JobError::Crash).
    pub fn crashes(&self) -> u32 {
        self.0.crashes.unsigned_abs()
    }

    /// Gives this attempt's slot to another job of the queue; the attempt goes on beside
    /// [`QueueOptions::new`](crate::QueueOptions::new)'s number. For the part of a job that only waits. The handler must
    /// bound how many of its attempts do this at once.
    pub fn release_slot(&self) {
        self.0.release_slot();
    }

    /// Marks a wait in which the attempt has not begun to work, until the guard is dropped: the slot is released as by
    /// [`Self::release_slot`], the deadline does not run, and a drain asks the attempt to stop at once instead of after its
    /// grace period, so that the job is handed back and another process can run it. Wait for [`Self::stopped`] meanwhile.
    pub fn wait_idle(&self) -> IdleWait<'_> {
        self.0.lock_idle().since.get_or_insert_with(Instant::now);
        self.0.release_slot();
        // A drain that began before the mark did not see it.
        if self.0.slot.get().is_some_and(|slot| slot.draining.is_cancelled()) {
            self.0.stop(StopReason::Draining);
        }
        IdleWait(&self.0)
    }

    /// Writes to the table that this attempt only waits and has not begun to work, until [`Self::begin`]. If its worker dies
    /// meanwhile, that is no crash of the job; and a process with room and the same
    /// [label](crate::SupervisorOptions::label) may take the job over (see
    /// [`QueueOptions::take_over_idle`](crate::QueueOptions::take_over_idle)), after which this lease is lost. One write; for
    /// waits of seconds and more. Nothing that the handler does between the two may be able to kill its worker, or no number
    /// of crashes would quarantine the job.
    ///
    /// # Errors
    /// [`CompleteError::LeaseLost`]: another worker has the job.
    pub async fn announce_idle(&self, db: &mut PgConnection) -> Result<(), CompleteError> {
        // Before the statement: its answer may be lost.
        self.0.idle_announced.store(true, Ordering::Release);
        self.write_if_held(db, ANNOUNCE_IDLE).await
    }

    /// Ends [`Self::announce_idle`] when the transaction is committed: from then on a death of the worker is a crash of the
    /// job, and no process can take it over. Like [`Self::lock_if_held`] it locks the job's row until then; without an
    /// announcement it writes nothing.
    ///
    /// # Errors
    /// [`CompleteError::LeaseLost`]: roll back, another worker has the job.
    pub async fn begin(&self, tx: &mut PgConnection) -> Result<(), CompleteError> {
        if self.0.idle_announced.load(Ordering::Acquire) {
            self.write_if_held(tx, BEGIN).await
        } else {
            self.lock_if_held(tx).await
        }
    }

    async fn write_if_held(&self, db: &mut PgConnection, sql: &'static str) -> Result<(), CompleteError> {
        let sql = self.0.schema.sql(sql);
        let done = sqlx::query(sql).bind(self.0.id.to_string()).bind(self.0.fence).execute(db).await?;
        self.refuse_if_lost(done.rows_affected() > 0)
    }

    fn refuse_if_lost(&self, is_held: bool) -> Result<(), CompleteError> {
        if !is_held {
            self.0.stop(StopReason::LeaseLost);
            return Err(CompleteError::LeaseLost);
        }
        Ok(())
    }

    /// Whether an error of this attempt would be the job's last.
    pub fn is_last_attempt(&self) -> bool {
        self.0.attempt - self.0.crashes >= self.0.max_attempts
    }

    /// Completes the job in the handler's own transaction: the handler's effects and the end of the job are one commit, so
    /// they happen exactly once.
    ///
    /// Call it first in the transaction, so that all transactions lock the job before their other rows; then write, commit,
    /// and return `Ok`. If the transaction is rolled back, return an error.
    ///
    /// # Errors
    /// [`CompleteError::LeaseLost`]: roll back, another worker has the job.
    pub async fn complete(&self, tx: &mut PgConnection) -> Result<(), CompleteError> {
        self.write_if_held(tx, COMPLETE).await?;
        self.0.completed.store(true, Ordering::Release);
        Ok(())
    }

    /// Locks the job's row until the transaction ends, if the lease is still held: no other worker can get the job
    /// meanwhile. For what an attempt writes before the end of its job.
    ///
    /// # Errors
    /// [`CompleteError::LeaseLost`]: roll back, another worker has the job.
    pub async fn lock_if_held(&self, tx: &mut PgConnection) -> Result<(), CompleteError> {
        let sql = self.0.schema.sql(LOCK);
        let held = sqlx::query(sql).bind(self.0.id.to_string()).bind(self.0.fence).fetch_optional(tx).await?;
        self.refuse_if_lost(held.is_some())
    }

    /// Waits until the attempt should stop. A handler that does not stop is dropped after
    /// [`SupervisorOptions::stop_timeout`](crate::SupervisorOptions::stop_timeout).
    pub async fn stopped(&self) -> StopReason {
        self.0.stopped().await;
        self.0.stop_reason().unwrap_or(StopReason::LeaseLost)
    }

    /// Whether and why the attempt should stop. For work on a thread, which cannot wait for [`Lease::stopped`].
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.stop_reason()
    }

    /// A token that is cancelled when the attempt should stop, for functions that take one.
    pub fn stop_token(&self) -> CancellationToken {
        self.0.stop.child_token()
    }
}

/// A wait of an attempt that has not begun to work: [`Lease::wait_idle`].
#[derive(Debug)]
pub struct IdleWait<'a>(&'a LeaseState);

impl Drop for IdleWait<'_> {
    fn drop(&mut self) {
        let mut idle = self.0.lock_idle();
        if let Some(since) = idle.since.take() {
            idle.total += since.elapsed();
        }
    }
}
