//! The queues that this process works on.

use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::{
    job::BoxError,
    lease::LeaseState,
    outcome::{Ack, Failure},
};

/// One queue, whatever its job type.
pub(crate) trait QueueHandle: Send + Sync {
    fn queue(&self) -> &'static str;
    /// The name of this process's worker on the queue, unique for every start.
    fn worker(&self) -> &str;
    /// Whether a worker polls the queue.
    fn is_polled(&self) -> bool;
    /// How many more jobs can be claimed.
    fn room(&self) -> usize;
    /// There may be jobs to claim.
    fn mark_pending(&self);
    /// Whether there may be jobs to claim; clears the mark.
    fn take_pending(&self) -> bool;
    /// Whether the queue has a limit across all processes.
    fn is_limited(&self) -> bool;
    fn set_limited(&self, limited: bool);
    /// Whether jobs that only wait in other processes are taken over.
    fn takes_over_idle(&self) -> bool;
    /// Takes a claimed job in. `Some`: it cannot be decoded, and this is its acknowledgement.
    fn deliver(&self, lease: &Arc<LeaseState>, payload: &[u8]) -> Option<Ack>;
    /// Hands back the jobs that have not been started.
    fn recall(&self) -> Vec<Ack>;
    /// The acknowledgement of one job of this queue is written.
    fn settled(&self);
    /// The process's tasks have ended: no further acknowledgement is written.
    fn abandon(&self);
    /// Calls the failure hook of the queue's handler.
    fn failed<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        payload: &'a [u8],
        failure: &'a Failure,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// A queue that this process works on already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process works on the queue {0} already")]
pub struct AlreadyWorked(pub(crate) &'static str);

/// All of them.
#[derive(Default)]
pub(crate) struct QueueRegistry {
    queues: RwLock<Vec<Arc<dyn QueueHandle>>>,
}

impl QueueRegistry {
    pub(crate) fn add(&self, queue: Arc<dyn QueueHandle>) -> Result<(), AlreadyWorked> {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if queues.iter().any(|known| known.queue() == queue.queue()) {
            return Err(AlreadyWorked(queue.queue()));
        }
        queues.push(queue);
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<Arc<dyn QueueHandle>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn get(&self, queue: &str) -> Option<Arc<dyn QueueHandle>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.iter().find(|known| known.queue() == queue).cloned()
    }

    pub(crate) fn mark_all_pending(&self) {
        self.all().iter().for_each(|queue| queue.mark_pending());
    }
}
