//! The client of a connection, and since when the server has waited for it.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

/// The zero of [`Client::waiting_since`].
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The value of `waiting_since` while the service is busy for the client.
const NOT_WAITING: u64 = u64::MAX;

/// The client of one connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// Milliseconds after [`START`]; [`NOT_WAITING`] while the client waits for the service, also until its connection is read
    /// for the first time. Between requests it is the time of the last response, so that a client that sends its headers slowly
    /// does not look active.
    waiting_since: AtomicU64,
    /// Whether nothing has been received yet.
    is_silent: AtomicBool,
    /// Whether a request is between its headers and the end of its response.
    in_request: AtomicBool,
    /// Whether the request counts among those in flight. Written only under the lock of [`Connections`](super::connections).
    pub(super) is_counted: AtomicBool,
    evicted: Notify,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            waiting_since: AtomicU64::new(NOT_WAITING),
            is_silent: AtomicBool::new(true),
            in_request: AtomicBool::new(false),
            is_counted: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }
}

/// Milliseconds after [`START`].
fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(NOT_WAITING - 1)
}

impl Client {
    /// The next bytes of the request, or room for those of the response, are awaited.
    pub(crate) fn starts_to_wait(&self) {
        // Keeps the time of an earlier wait that has not ended.
        let _ = self.waiting_since.compare_exchange(NOT_WAITING, now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The client sent or took bytes of a request in progress.
    pub(crate) fn has_progressed(&self) {
        if self.is_in_request() {
            self.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
        }
    }

    /// Bytes were received.
    pub(super) fn has_spoken(&self) {
        self.is_silent.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    /// The headers of a request are complete.
    pub(super) fn begins_request(&self) {
        self.in_request.store(true, Ordering::Relaxed);
        self.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
    }

    /// The response is complete.
    pub(super) fn ends_request(&self) {
        self.in_request.store(false, Ordering::Relaxed);
        self.waiting_since.store(now(), Ordering::Relaxed);
    }

    pub(super) fn is_in_request(&self) -> bool {
        self.in_request.load(Ordering::Relaxed)
    }

    /// For how long the client has been waited for, in milliseconds; `None` while it is not.
    pub(super) fn waited_ms(&self) -> Option<u64> {
        let since = self.waiting_since.load(Ordering::Relaxed);
        (since != NOT_WAITING).then(|| now().saturating_sub(since))
    }

    /// Ends the connection.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Resolves when the connection is to end.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}
