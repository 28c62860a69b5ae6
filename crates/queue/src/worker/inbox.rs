//! One queue in one process: the claimed jobs that wait for a free slot, the slots, and the handler.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{future::BoxFuture, task::AtomicWaker};
use sqlx::PgConnection;
use tracing::error;

use super::{attempt::retry_or_exhaust, registry::QueueHandle};
use crate::{
    handler::Handler,
    job::{BoxError, Job},
    lease::LeaseState,
    options::QueueOptions,
    outcome::{Ack, AttemptError, ErrorKind, Failure, Verdict},
};

struct State<J> {
    /// Claimed, and waiting for a slot.
    waiting: VecDeque<(J, Arc<LeaseState>)>,
    running: usize,
    /// Claimed, and not yet acknowledged.
    unsettled: usize,
    polled: bool,
    closed: bool,
}

pub(crate) struct Inbox<J, H> {
    worker: String,
    pub(crate) options: QueueOptions,
    pub(crate) handler: H,
    state: Mutex<State<J>>,
    pending: AtomicBool,
    limited: AtomicBool,
    /// Wakes the apalis worker: there is a job, or a free slot.
    next: AtomicWaker,
    /// Wakes the apalis worker: everything is acknowledged.
    close: AtomicWaker,
}

impl<J: Job, H: Handler<J>> Inbox<J, H> {
    pub(crate) fn new(worker: String, options: QueueOptions, handler: H) -> Self {
        let state = State { waiting: VecDeque::new(), running: 0, unsettled: 0, polled: false, closed: false };
        Self {
            worker,
            options,
            handler,
            state: Mutex::new(state),
            pending: AtomicBool::new(true),
            limited: AtomicBool::new(false),
            next: AtomicWaker::new(),
            close: AtomicWaker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // No panic inside can separate two writes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, if a slot is free. The flag: the queue has just been polled for the first time.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> (Poll<(J, Arc<LeaseState>)>, bool) {
        // Registered before the look: a job that arrives between the two would wake nobody.
        self.next.register(cx.waker());
        let mut state = self.lock();
        let is_first = !std::mem::replace(&mut state.polled, true);
        if state.running < self.options.concurrency
            && let Some(job) = state.waiting.pop_front()
        {
            state.running += 1;
            return (Poll::Ready(job), is_first);
        }
        (Poll::Pending, is_first)
    }

    /// Frees the slot of an attempt that has ended. Returns whether there may be jobs for it.
    pub(crate) fn free_slot(&self) -> bool {
        self.lock().running -= 1;
        self.next.wake();
        self.pending.load(Ordering::Acquire)
    }

    /// Takes no more jobs.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Ready when every claimed job is acknowledged.
    pub(crate) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        self.close.register(cx.waker());
        if self.lock().unsettled == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<J: Job, H: Handler<J>> QueueHandle for Inbox<J, H> {
    fn queue(&self) -> &'static str {
        J::QUEUE
    }

    fn worker(&self) -> &str {
        &self.worker
    }

    fn is_polled(&self) -> bool {
        let state = self.lock();
        state.polled && !state.closed
    }

    fn room(&self) -> usize {
        let state = self.lock();
        if !state.polled || state.closed {
            return 0;
        }
        (self.options.concurrency + self.options.prefetch).saturating_sub(state.running + state.waiting.len())
    }

    fn mark_pending(&self) {
        self.pending.store(true, Ordering::Release);
    }

    fn take_pending(&self) -> bool {
        self.pending.swap(false, Ordering::AcqRel)
    }

    fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    fn set_limited(&self, limited: bool) {
        self.limited.store(limited, Ordering::Relaxed);
    }

    fn takes_over_idle(&self) -> bool {
        self.options.takes_over_idle
    }

    fn deliver(&self, lease: &Arc<LeaseState>, payload: &[u8]) -> Option<Ack> {
        match serde_json::from_slice(payload) {
            Ok(job) => {
                let mut state = self.lock();
                state.unsettled += 1;
                state.waiting.push_back((job, Arc::clone(lease)));
                drop(state);
                self.next.wake();
                None
            }
            Err(cause) => {
                self.lock().unsettled += 1;
                // Not final: during a rolling deploy a newer program may be able to decode it.
                let message = format!("cannot decode the payload: {cause}");
                let error = AttemptError::new(ErrorKind::Error, message);
                let verdict = retry_or_exhaust(error, None, lease, &self.options.backoff);
                Some(Ack { lease: Arc::clone(lease), verdict })
            }
        }
    }

    fn recall(&self) -> Vec<Ack> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().map(|(_, lease)| Ack { lease, verdict: Verdict::HAND_BACK }).collect()
    }

    fn settled(&self) {
        let mut state = self.lock();
        state.unsettled = state.unsettled.saturating_sub(1);
        let is_last = state.unsettled == 0;
        drop(state);
        if is_last {
            self.close.wake();
        }
    }

    fn abandon(&self) {
        self.lock().unsettled = 0;
        self.close.wake();
    }

    fn failed<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        payload: &'a [u8],
        failure: &'a Failure,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            match serde_json::from_slice(payload) {
                Ok(job) => self.handler.failed(tx, &job, failure).await,
                Err(cause) => {
                    error!(job = %failure.id, queue = J::QUEUE, %cause, "a job that cannot be decoded has failed: no hook");
                    Ok(())
                }
            }
        })
    }
}
