//! One queue in one process: the claimed jobs that wait for a free slot, the slots, and the handler.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;

use super::{
    attempt::retry_or_exhaust,
    erased_handler::{ErasedHandler, RunAttempt},
};
use crate::{
    lease::LeaseState,
    options::QueueOptions,
    outcome::{Ack, AttemptError, ErrorKind, Verdict},
};

struct State {
    /// Claimed, and waiting for a slot.
    waiting: VecDeque<(RunAttempt, Arc<LeaseState>)>,
    running: usize,
    /// Claimed, and not yet acknowledged.
    unsettled: usize,
    polled: bool,
    closed: bool,
}

pub(crate) struct Inbox {
    queue: &'static str,
    worker: String,
    pub(crate) options: QueueOptions,
    pub(crate) handler: Arc<dyn ErasedHandler>,
    state: Mutex<State>,
    pending: AtomicBool,
    limited: AtomicBool,
    /// Wakes the apalis worker: there is a job, or a free slot.
    next: AtomicWaker,
    /// Wakes the apalis worker: everything is acknowledged.
    close: AtomicWaker,
}

impl Inbox {
    /// `worker` is the name of this process's worker on the queue, unique for every start.
    pub(crate) fn new(
        queue: &'static str,
        worker: String,
        options: QueueOptions,
        handler: Arc<dyn ErasedHandler>,
    ) -> Self {
        let state = State { waiting: VecDeque::new(), running: 0, unsettled: 0, polled: false, closed: false };
        Self {
            queue,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic inside can separate two writes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, if a slot is free. The flag: the queue has just been polled for the first time.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> (Poll<(RunAttempt, Arc<LeaseState>)>, bool) {
        // Registered before the look: a job that arrives between the two would wake nobody.
        self.next.register(cx.waker());
        let mut state = self.lock();
        let is_first = !std::mem::replace(&mut state.polled, true);
        if state.running < self.options.concurrency()
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
        self.pending.load(Ordering::Acquire) && self.room() > 0
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

    pub(crate) fn queue(&self) -> &'static str {
        self.queue
    }

    /// The name of this process's worker on the queue.
    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// Whether a worker polls the queue.
    pub(crate) fn is_polled(&self) -> bool {
        let state = self.lock();
        state.polled && !state.closed
    }

    /// How many more jobs can be claimed.
    pub(crate) fn room(&self) -> usize {
        let state = self.lock();
        if !state.polled || state.closed {
            return 0;
        }
        let room =
            (self.options.concurrency() + self.options.prefetch).saturating_sub(state.running + state.waiting.len());
        if room < self.options.min_room() { 0 } else { room }
    }

    /// There may be jobs to claim.
    pub(crate) fn mark_pending(&self) {
        self.pending.store(true, Ordering::Release);
    }

    /// Whether there may be jobs to claim; clears the mark.
    pub(crate) fn take_pending(&self) -> bool {
        self.pending.swap(false, Ordering::AcqRel)
    }

    /// Whether the queue has a limit across all processes.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limited(&self, limited: bool) {
        self.limited.store(limited, Ordering::Relaxed);
    }

    /// Whether jobs that only wait in other processes are taken over.
    pub(crate) fn takes_over_idle(&self) -> bool {
        self.options.takes_over_idle
    }

    /// Takes a claimed job in. `Some`: it cannot be decoded, and this is its acknowledgement.
    pub(crate) fn deliver(&self, lease: &Arc<LeaseState>, payload: &[u8]) -> Option<Ack> {
        match Arc::clone(&self.handler).decode(payload) {
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

    /// Hands back the jobs that have not been started.
    pub(crate) fn recall(&self) -> Vec<Ack> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().map(|(_, lease)| Ack { lease, verdict: Verdict::HAND_BACK }).collect()
    }

    /// The acknowledgement of one job of this queue is written.
    pub(crate) fn settled(&self) {
        let mut state = self.lock();
        state.unsettled = state.unsettled.saturating_sub(1);
        let is_last = state.unsettled == 0;
        drop(state);
        if is_last {
            self.close.wake();
        }
    }

    /// The process's tasks have ended: no further acknowledgement is written.
    pub(crate) fn abandon(&self) {
        self.lock().unsettled = 0;
        self.close.wake();
    }
}
