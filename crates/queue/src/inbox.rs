//! One queue in one process: the claimed jobs that wait for a free slot, and what the queue's tasks know of it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{future::BoxFuture, task::AtomicWaker};
use sqlx::PgConnection;
use tracing::error;

use super::{
    acknowledge::Ended,
    attempt::Ending,
    backoff::Backoff,
    failure::{AttemptError, ErrorKind, Failure, FailureReason},
    job::{BoxError, Job},
    lease::Held,
};

type Hook<J> =
    Arc<dyn for<'a> Fn(&'a mut PgConnection, &'a J, &'a Failure) -> BoxFuture<'a, Result<(), BoxError>> + Send + Sync>;

/// How this process works on a queue.
pub struct QueueOptions<J> {
    pub(super) concurrency: usize,
    pub(super) prefetch: usize,
    pub(super) deadline: Option<Duration>,
    pub(super) backoff: Backoff,
    on_failure: Option<Hook<J>>,
}

impl<J: Job> QueueOptions<J> {
    /// Jobs that run at once, 1 or more. The rest: no prefetch, no deadline, the default backoff, no hook.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        let concurrency = concurrency.max(1);
        Self { concurrency, prefetch: 0, deadline: None, backoff: Backoff::default(), on_failure: None }
    }

    /// How many jobs are claimed ahead of free slots. Worth it for jobs of a few milliseconds only: a job claimed ahead
    /// waits here even when another process is idle.
    #[must_use]
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.prefetch = jobs;
        self
    }

    /// Longest time an attempt may run. What takes longer is dropped, and the attempt counts.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What else is true when a job of this queue fails for good, whatever the reason. Runs in the transaction that
    /// marks the job, in any process that works on this queue. An error rolls both back, and it is tried again, so the
    /// hook must fail only where that helps. It is not called for a job that cannot be decoded.
    #[must_use]
    pub fn on_failure<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a J, &'a Failure) -> BoxFuture<'a, Result<(), BoxError>>,
        F: Send + Sync + 'static,
    {
        self.on_failure = Some(Arc::new(hook));
        self
    }
}

impl<J> fmt::Debug for QueueOptions<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { concurrency, prefetch, deadline, backoff, on_failure } = self;
        f.debug_struct("QueueOptions")
            .field("concurrency", concurrency)
            .field("prefetch", prefetch)
            .field("deadline", deadline)
            .field("backoff", backoff)
            .field("on_failure", &on_failure.is_some())
            .finish()
    }
}

/// A queue as the process's tasks see it, whatever its job type.
pub(super) trait Served: Send + Sync {
    fn queue(&self) -> &'static str;
    /// The name of this process's worker on the queue, unique for every start.
    fn worker(&self) -> &str;
    /// Whether a worker polls the queue.
    fn is_polled(&self) -> bool;
    /// How many more jobs can be claimed.
    fn room(&self) -> usize;
    /// There may be jobs to claim.
    fn look(&self);
    /// Whether there may be jobs to claim; forgets it.
    fn take_look(&self) -> bool;
    /// Whether the queue has a limit across all processes.
    fn is_limited(&self) -> bool;
    fn set_limited(&self, limited: bool);
    /// Takes a claimed job in. `Some`: it cannot be decoded, and this is its end.
    fn deliver(&self, lease: &Arc<Held>, payload: &[u8]) -> Option<Ended>;
    /// Takes back the jobs that no handler has got yet.
    fn recall(&self) -> Vec<Ended>;
    /// The end of one lease on a job of this queue is written.
    fn settled(&self);
    /// The process's tasks have ended: nothing will be settled any more.
    fn abandon(&self);
    /// Calls the queue's hook.
    fn failed<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        payload: &'a [u8],
        failure: &'a Failure,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

struct State<J> {
    /// Claimed, and waiting for a slot.
    waiting: VecDeque<(J, Arc<Held>)>,
    running: usize,
    /// Claimed, and their end not yet written.
    unsettled: usize,
    polled: bool,
    closed: bool,
}

pub(super) struct Inbox<J> {
    worker: String,
    pub(super) options: QueueOptions<J>,
    state: Mutex<State<J>>,
    look: AtomicBool,
    limited: AtomicBool,
    next: AtomicWaker,
    close: AtomicWaker,
}

impl<J: Job> Inbox<J> {
    pub(super) fn new(worker: String, options: QueueOptions<J>) -> Self {
        let state = State { waiting: VecDeque::new(), running: 0, unsettled: 0, polled: false, closed: false };
        Self {
            worker,
            options,
            state: Mutex::new(state),
            look: AtomicBool::new(true),
            limited: AtomicBool::new(false),
            next: AtomicWaker::new(),
            close: AtomicWaker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Nothing in here panics between two writes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, if a slot is free. The flag: the queue has just been polled for the first time.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> (Poll<(J, Arc<Held>)>, bool) {
        // Before the look, or a job that comes between the two would wake nobody.
        self.next.register(cx.waker());
        let mut state = self.lock();
        let first = !std::mem::replace(&mut state.polled, true);
        if state.running < self.options.concurrency
            && let Some(job) = state.waiting.pop_front()
        {
            state.running += 1;
            return (Poll::Ready(job), first);
        }
        (Poll::Pending, first)
    }

    /// A handler has ended: its slot is free. Whether there may be jobs for it.
    pub(super) fn free(&self) -> bool {
        self.lock().running -= 1;
        self.next.wake();
        self.look.load(Ordering::Acquire)
    }

    /// Takes no more jobs.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Ready when the end of every claimed job is written.
    pub(super) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        self.close.register(cx.waker());
        if self.lock().unsettled == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<J: Job> Served for Inbox<J> {
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

    fn look(&self) {
        self.look.store(true, Ordering::Release);
    }

    fn take_look(&self) -> bool {
        self.look.swap(false, Ordering::AcqRel)
    }

    fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    fn set_limited(&self, limited: bool) {
        self.limited.store(limited, Ordering::Relaxed);
    }

    fn deliver(&self, lease: &Arc<Held>, payload: &[u8]) -> Option<Ended> {
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
                let error = AttemptError::new(ErrorKind::Error, format!("cannot decode the job: {cause}"));
                let ending = Ending::Failed { reason: FailureReason::Failed, error, source: None };
                Some(Ended { lease: Arc::clone(lease), ending })
            }
        }
    }

    fn recall(&self) -> Vec<Ended> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        let hand_back = |(_, lease)| {
            let ending = Ending::Again { delay: Duration::ZERO, counts: false, error: None };
            Ended { lease, ending }
        };
        waiting.into_iter().map(hand_back).collect()
    }

    fn settled(&self) {
        let mut state = self.lock();
        state.unsettled = state.unsettled.saturating_sub(1);
        let last = state.unsettled == 0;
        drop(state);
        if last {
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
            let Some(hook) = &self.options.on_failure else { return Ok(()) };
            match serde_json::from_slice(payload) {
                Ok(job) => hook(tx, &job, failure).await,
                Err(cause) => {
                    error!(job = %failure.id, queue = J::QUEUE, %cause, "a job that cannot be decoded has failed");
                    Ok(())
                }
            }
        })
    }
}
