//! Notices when a task ends that must not: after a panic the others would go on without it.

use std::sync::{Arc, OnceLock};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The first task of a process that has ended too early.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndedTask {
    name: Arc<OnceLock<&'static str>>,
    ended: CancellationToken,
}

impl EndedTask {
    /// Spawns a task that must not end before `until` is cancelled.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        until: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        tokio::spawn(self.watch(name, until, task))
    }

    /// A task that must not end before `until` is cancelled.
    pub(crate) fn watch<F: Future>(
        &self,
        name: &'static str,
        until: &CancellationToken,
        task: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let guard = self.guard(name, until);
        async move {
            let _guard = guard;
            task.await
        }
    }

    /// A guard that must not be dropped before `until` is cancelled.
    pub(crate) fn guard(&self, name: &'static str, until: &CancellationToken) -> EndGuard {
        EndGuard { name, until: until.clone(), ended: self.clone() }
    }

    /// Waits until a task has ended too early, and returns its name.
    pub(crate) async fn name(&self) -> &'static str {
        self.ended.cancelled().await;
        self.name.get().copied().unwrap_or_default()
    }
}

/// Held by a task until it ends.
pub(crate) struct EndGuard {
    name: &'static str,
    until: CancellationToken,
    ended: EndedTask,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.until.is_cancelled() {
            error!(task = self.name, "a task of the queue has ended");
            _ = self.ended.name.set(self.name);
            self.ended.ended.cancel();
        }
    }
}
