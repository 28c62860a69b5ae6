//! The apalis side: a [`Backend`] that hands out claimed jobs, and the layer that runs them.
//!
//! The backend has no errors, by type: what goes wrong with the database is the queue's tasks' to mend, and apalis never
//! hears of it. The layer runs every job in a task of its own, so a worker that ends drops no job that runs.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures::future::BoxFuture;
use tower::{Layer, Service};

use super::{
    acknowledge::Ended,
    attempt::{Limits, judge, run},
    inbox::{Inbox, Served as _},
    job::{BoxError, Job},
    lease::Lease,
    supervisor::Shared,
};

/// One queue of this process, for `WorkerBuilder::backend`. Made by [`Supervisor::queue`](super::Supervisor::queue).
pub struct Queue<J> {
    shared: Arc<Shared>,
    inbox: Arc<Inbox<J>>,
}

impl<J: Job> Queue<J> {
    pub(super) fn new(shared: Arc<Shared>, inbox: Arc<Inbox<J>>) -> Self {
        Self { shared, inbox }
    }

    /// The worker's name in the table, unique for every start. Use it for the apalis worker, too.
    pub fn worker_name(&self) -> &str {
        self.inbox.worker()
    }
}

impl<J: Job> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("queue", &J::QUEUE).field("worker", &self.inbox.worker()).finish_non_exhaustive()
    }
}

impl<J: Job> Backend for Queue<J> {
    type Task = Task<J>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Task<J>, Infallible>>> {
        let (next, first) = self.inbox.poll_next(cx);
        if first {
            self.shared.claimer.notify_one();
        }
        let (job, held) = ready!(next);
        let task = TaskBuilder::new(job)
            // With its fence: after a rescue one process may run two attempts at one job.
            .task_id(TaskId::from_string(format!("{}#{}", held.id, held.fence)))
            // apalis adds one when the handler starts.
            .attempt(usize::try_from(held.attempt - 1).unwrap_or_default())
            .max_attempts(usize::try_from(held.max_attempts).unwrap_or_default())
            .queue(J::QUEUE.into())
            .data(Lease(held))
            .build();
        Poll::Ready(Some(Ok(task)))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.inbox.close();
        for ended in self.inbox.recall() {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.end(ended).await });
        }
        self.inbox.poll_settled(cx).map(Ok)
    }
}

impl<J: Job> BackendConfig for Queue<J> {
    type Args = J;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Attempts<J>;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Attempts<J> {
        Attempts { shared: Arc::clone(&self.shared), inbox: Arc::clone(&self.inbox) }
    }
}

/// The layer that runs attempts: between apalis and the handler with its own layers.
pub struct Attempts<J> {
    shared: Arc<Shared>,
    inbox: Arc<Inbox<J>>,
}

impl<J> fmt::Debug for Attempts<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").finish_non_exhaustive()
    }
}

impl<J, S> Layer<S> for Attempts<J> {
    type Service = AttemptService<J, S>;

    fn layer(&self, handler: S) -> AttemptService<J, S> {
        AttemptService { shared: Arc::clone(&self.shared), inbox: Arc::clone(&self.inbox), handler }
    }
}

/// See [`Attempts`].
pub struct AttemptService<J, S> {
    shared: Arc<Shared>,
    inbox: Arc<Inbox<J>>,
    handler: S,
}

impl<J, S> fmt::Debug for AttemptService<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptService").finish_non_exhaustive()
    }
}

impl<J, S> Service<Task<J>> for AttemptService<J, S>
where
    J: Job,
    S: Service<Task<J>>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.handler.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<J>) -> Self::Future {
        let Lease(lease) = task.data().get::<Lease>().cloned().expect("every task of this backend carries its lease");
        let handler = self.handler.call(task);
        let (shared, inbox) = (Arc::clone(&self.shared), Arc::clone(&self.inbox));
        let attempt = tokio::spawn(async move {
            let limits = Limits { deadline: inbox.options.deadline, patience: shared.options.patience };
            let finish = run(handler, &lease, limits).await;
            let ending = judge(finish, &lease, &inbox.options.backoff, shared.options.max_crashes);
            // The channel is bounded: ends that cannot be written for long keep their slots.
            shared.end(Ended { lease, ending }).await;
            if inbox.free() {
                shared.claimer.notify_one();
            }
        });
        Box::pin(async move { attempt.await.map_err(Into::into) })
    }
}
