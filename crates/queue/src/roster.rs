//! All leases of this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    job::JobId,
    lease::{Held, StopReason},
};

/// A lease's name: the job and its fencing number. After a rescue, one process may hold a dead lease and a live one on
/// the same job.
type Key = (JobId, i32);

/// The leases this process holds: entered by the claim, left when the attempt's end is written or refused.
#[derive(Debug, Default)]
pub(super) struct Roster {
    held: Mutex<HashMap<Key, Arc<Held>>>,
    changed: Notify,
}

impl Roster {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Held>>> {
        // Nothing in here panics between two writes that belong together.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, lease: Arc<Held>) {
        self.lock().insert((lease.id, lease.fence), lease);
    }

    /// `false`: it was not entered.
    pub(super) fn leave(&self, lease: &Held) -> bool {
        let left = self.lock().remove(&(lease.id, lease.fence)).is_some();
        self.changed.notify_waiters();
        left
    }

    pub(super) fn all(&self) -> Vec<Arc<Held>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn holds(&self, id: JobId, fence: i32) -> bool {
        self.lock().contains_key(&(id, fence))
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Waits until no lease is held.
    pub(super) async fn emptied(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn stop_all(&self, reason: StopReason) {
        self.all().iter().for_each(|lease| lease.stop(reason));
    }
}
