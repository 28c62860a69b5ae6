//! The queues that this process works on.

use std::sync::{Arc, PoisonError, RwLock};

use super::inbox::Inbox;

/// A queue that this process works on already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process works on the queue {0} already")]
pub struct AlreadyWorked(pub(crate) &'static str);

/// All of them.
#[derive(Default)]
pub(crate) struct QueueRegistry {
    queues: RwLock<Vec<Arc<Inbox>>>,
}

impl QueueRegistry {
    pub(crate) fn add(&self, queue: Arc<Inbox>) -> Result<(), AlreadyWorked> {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if queues.iter().any(|known| known.queue() == queue.queue()) {
            return Err(AlreadyWorked(queue.queue()));
        }
        queues.push(queue);
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<Arc<Inbox>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn get(&self, queue: &str) -> Option<Arc<Inbox>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.iter().find(|known| known.queue() == queue).cloned()
    }

    pub(crate) fn mark_all_pending(&self) {
        self.all().iter().for_each(|queue| queue.mark_pending());
    }
}
