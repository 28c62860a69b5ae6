//! Tasks without which the process cannot do its work. They run until the process stops.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt as _;
use tokio::task::JoinHandle;

/// Starts critical tasks and knows which have ended. Clones know the same.
///
/// A task that ended before the process stops has met a fault that only a restart cures: `/healthz` fails from then on, so that
/// the orchestrator restarts the process.
#[derive(Clone, Debug, Default)]
pub struct CriticalTasks {
    /// Whether the process is about to stop, and its tasks may end.
    stopping: Arc<AtomicBool>,
    ended: Arc<Mutex<Option<&'static str>>>,
}

impl CriticalTasks {
    /// None yet. `stopping`: whether the process is about to stop, and its tasks may end.
    #[must_use]
    pub fn new(stopping: Arc<AtomicBool>) -> Self {
        Self { stopping, ended: Arc::default() }
    }

    /// Starts a task that must not end, nor panic, before the process stops.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let tasks = self.clone();
        tokio::spawn(async move {
            // A panic has been printed by its hook already.
            let how = if AssertUnwindSafe(task).catch_unwind().await.is_ok() { "ended" } else { "panicked" };
            if how == "ended" && tasks.stopping.load(Ordering::Relaxed) {
                return;
            }
            tracing::error!("the task \"{name}\" has {how}: this process has to be restarted");
            tasks.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(name);
        })
    }

    /// The name of the task that ended first.
    #[must_use]
    pub fn ended(&self) -> Option<&'static str> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
