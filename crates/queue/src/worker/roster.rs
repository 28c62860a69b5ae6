//! All leases of this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    job::JobId,
    lease::{LeaseState, StopReason},
};

/// A job and its fencing token. After a rescue, one process may hold a lost lease and a live one on the same job.
type Key = (JobId, i32);

/// The leases that this process holds: added by the claim, removed when the acknowledgement is written or refused.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    leases: Mutex<HashMap<Key, Arc<LeaseState>>>,
    removed: Notify,
}

impl Roster {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<LeaseState>>> {
        // No panic inside can separate two writes that belong together.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, lease: Arc<LeaseState>) {
        self.lock().insert((lease.id, lease.fence), lease);
    }

    /// `false`: it is not in here.
    pub(crate) fn remove(&self, lease: &LeaseState) -> bool {
        let was_held = self.lock().remove(&(lease.id, lease.fence)).is_some();
        self.removed.notify_waiters();
        was_held
    }

    pub(crate) fn all(&self) -> Vec<Arc<LeaseState>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn holds(&self, id: JobId, fence: i32) -> bool {
        self.lock().contains_key(&(id, fence))
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether an attempt of this queue waits and has not begun to work.
    pub(crate) fn has_idle(&self, queue: &str) -> bool {
        self.lock().values().any(|lease| lease.queue == queue && lease.is_idle())
    }

    /// Waits until no lease is held.
    pub(crate) async fn emptied(&self) {
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            removed.await;
        }
    }

    /// Stops the attempts that have not begun to work.
    pub(crate) fn stop_idle(&self, reason: StopReason) {
        self.all().iter().filter(|lease| lease.is_idle()).for_each(|lease| lease.stop(reason));
    }

    pub(crate) fn stop_all(&self, reason: StopReason) {
        self.all().iter().for_each(|lease| lease.stop(reason));
    }
}
