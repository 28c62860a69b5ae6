//! The bound of images that wait to be rendered.
//!
//! They are counted every few seconds, never per upload, and what this process has accepted since is added. Other processes
//! count from the next time on: together they may exceed the bound by what they accept within it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use darkroom_shared::{catalog, database::Database};
use tokio::task::{AbortHandle, JoinHandle};

use crate::error::ApiError;

/// How old a count may be, at least. Counting a million rows of an index takes about 0.1 s.
const AGE: Duration = Duration::from_secs(5);
/// The age of a count as a multiple of the time that it takes: 2 % of the time is spent on it.
const AGE_FACTOR: u32 = 50;
/// How long the first upload waits for the count.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);

/// Counts the images that wait to be rendered.
#[derive(Debug)]
pub(crate) struct Backlog {
    db: Database,
    /// Maximum number; `None`: no limit.
    max: Option<u64>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    queued: u64,
    /// Accepted by this process since `queued` was counted.
    accepted: u64,
    /// When `queued` is too old.
    expires: Option<Instant>,
    /// The latest task that counts.
    task: Option<AbortHandle>,
}

impl Backlog {
    pub(crate) fn new(db: Database, max: Option<u64>) -> Arc<Self> {
        Arc::new(Self { db, max, counts: Mutex::default() })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if as many images wait as may.
    pub(super) async fn check(self: &Arc<Self>) -> Result<(), ApiError> {
        let Some(max) = self.max else { return Ok(()) };
        if let Some((counted, true)) = self.count_if_due(max) {
            // A database that does not respond fails the upload later.
            let _ = tokio::time::timeout(FIRST_TIMEOUT, counted).await;
        }
        let counts = self.counts();
        if counts.queued + counts.accepted >= max {
            Err(ApiError::ReducedCapacity("Too many images wait to be rendered. Try again later."))
        } else {
            Ok(())
        }
    }

    /// Starts to count if the last count is too old and no task counts already. Whether it is the first.
    fn count_if_due(self: &Arc<Self>, max: u64) -> Option<(JoinHandle<()>, bool)> {
        let mut counts = self.counts();
        let is_due = counts.expires.is_none_or(|expires| expires <= Instant::now());
        if !is_due || counts.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return None;
        }
        let backlog = Arc::clone(self);
        let task = tokio::spawn(async move { backlog.count(max).await });
        counts.task = Some(task.abort_handle());
        Some((task, counts.expires.is_none()))
    }

    /// An upload has been accepted.
    pub(super) fn add(&self) {
        self.counts().accepted += 1;
    }

    async fn count(&self, max: u64) {
        let (start, accepted) = (Instant::now(), self.counts().accepted);
        let queued = self.db.run(async |db| catalog::count_queued(db, max).await).await;
        let mut counts = self.counts();
        counts.expires = Some(Instant::now() + AGE.max(start.elapsed() * AGE_FACTOR));
        match queued {
            Ok(queued) => {
                counts.queued = queued;
                counts.accepted -= accepted;
            }
            Err(error) => tracing::warn!("cannot count the images that wait: {error}"),
        }
    }
}
