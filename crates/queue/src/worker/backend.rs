//! The apalis side: an apalis [`Backend`] that yields claimed jobs, and the service that runs them.
//!
//! The backend has no errors, by type: the queue's tasks repair what goes wrong with the database, so no fault of it can end
//! an apalis worker. The service runs every attempt in a task of its own, so a worker that ends drops no running job.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::{builder::WorkerBuilder, context::WorkerContext},
};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::{Service, layer::util::Identity};
use tracing::error;

use super::{
    ack_sender::AckSender,
    attempt::{AttemptLimits, decide, run},
    erased_handler::RunAttempt,
    inbox::Inbox,
};
use crate::{
    job::BoxError,
    lease::{Lease, Slot},
    outcome::Ack,
};

/// One queue of this process, for apalis.
#[derive(Clone)]
pub(super) struct QueueWorker {
    pub(super) inbox: Arc<Inbox>,
    pub(super) acks: AckSender,
    pub(super) wake_claimer: Arc<Notify>,
    pub(super) stop_timeout: Duration,
    pub(super) max_crashes: u16,
    pub(super) draining: CancellationToken,
}

impl QueueWorker {
    /// Runs an apalis worker on the queue until the process drains and every job of it is acknowledged.
    pub(super) fn run(self) -> BoxFuture<'static, ()> {
        let (queue, draining) = (self.inbox.queue(), self.draining.clone());
        let drained = async move {
            draining.cancelled().await;
            Ok::<(), std::io::Error>(())
        };
        let worker = WorkerBuilder::new(self.inbox.worker()).backend(self.clone()).build(AttemptService(self));
        let running = worker.run_until(drained).boxed();
        Box::pin(async move {
            if let Err(error) = running.await {
                error!(queue, %error, "the worker of a queue has ended");
            }
        })
    }
}

impl Backend for QueueWorker {
    type Task = Task<RunAttempt>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<RunAttempt>, Infallible>>> {
        let (next, is_first) = self.inbox.poll_next(cx);
        if is_first {
            self.wake_claimer.notify_one();
        }
        let (attempt, lease) = ready!(next);
        let task = TaskBuilder::new(attempt)
            // With the fencing token: after a rescue one process may run two attempts at one job.
            .task_id(TaskId::from_string(format!("{}#{}", lease.id, lease.fence)))
            // apalis adds one when the handler starts.
            .attempt(usize::try_from(lease.attempt - 1).unwrap_or_default())
            .max_attempts(usize::try_from(lease.max_attempts).unwrap_or_default())
            .queue(self.inbox.queue().into())
            .data(Lease(lease))
            .build();
        Poll::Ready(Some(Ok(task)))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.inbox.close();
        for ack in self.inbox.recall() {
            let acks = self.acks.clone();
            tokio::spawn(async move { acks.send(ack).await });
        }
        self.inbox.poll_settled(cx).map(Ok)
    }
}

impl BackendConfig for QueueWorker {
    type Args = RunAttempt;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// Runs attempts.
struct AttemptService(QueueWorker);

impl Service<Task<RunAttempt>> for AttemptService {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<RunAttempt>) -> Self::Future {
        let lease = task.data().get::<Lease>().cloned().expect("every task of this backend has its lease");
        let run_attempt = task.args;
        let QueueWorker { inbox, acks, wake_claimer, stop_timeout, max_crashes, draining } = self.0.clone();
        let slot_inbox = Arc::clone(&inbox);
        let free = Box::new(move || {
            if slot_inbox.free_slot() {
                wake_claimer.notify_one();
            }
        });
        lease.0.set_slot(Slot { free, draining });
        let attempt = tokio::spawn(async move {
            let limits = AttemptLimits { deadline: inbox.options.deadline, stop_timeout };
            let outcome = run(run_attempt(lease.clone()), &lease.0, limits).await;
            let verdict = decide(outcome, &lease.0, &inbox.options.backoff, max_crashes);
            // The channel is bounded: an attempt whose acknowledgement cannot be written keeps its slot.
            acks.send(Ack { lease: Arc::clone(&lease.0), verdict }).await;
            lease.release_slot();
        });
        Box::pin(async move { attempt.await.map_err(Into::into) })
    }
}
