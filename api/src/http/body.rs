//! Limits of request bodies: timeouts while they are read, and draining of what a handler leaves unread.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, stream::BoxStream};
use poem::{Body, Request, http::header};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// How long a client may send nothing within a body, by default.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a whole body may take: 32 MiB at 150 kbit/s. Shorter than the age at which the sweep deletes drafts.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(30);
/// How many bytes of a refused body are drained. Most clients read no response before they have sent their request, and a
/// connection that is closed with unread bytes is reset, which loses the response.
const DRAIN_BYTES: usize = 256 << 20;
/// How long draining may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Wraps the request's body: reading fails with [`io::ErrorKind::TimedOut`] when the client has sent nothing for
/// `idle_timeout`, or when the body as a whole takes too long; dropping it drains the rest.
pub(crate) fn limit(request: &mut Request, idle_timeout: Duration) {
    let body = request.take_body();
    if body.is_empty() {
        return;
    }
    // This client sends its body only after `100 Continue`, so before the first read there is nothing to drain.
    let expects_continue = request.headers().contains_key(header::EXPECT);
    request.set_body(Body::from_bytes_stream(LimitedBody {
        stream: body.into_bytes_stream().boxed(),
        idle_timeout,
        timer: Box::pin(sleep(idle_timeout)),
        deadline: Instant::now() + TOTAL_TIMEOUT,
        state: if expects_continue { State::AwaitsContinue } else { State::Open },
    }));
}

struct LimitedBody {
    stream: BoxStream<'static, io::Result<Bytes>>,
    idle_timeout: Duration,
    /// Elapses at the idle timeout after the last chunk, or at `deadline`.
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// The client waits for `100 Continue`.
    AwaitsContinue,
    Open,
    /// At its end, failed or timed out.
    Closed,
}

impl Stream for LimitedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.state == State::Closed {
            return Poll::Ready(None);
        }
        self.state = State::Open;
        match self.stream.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                let next = (Instant::now() + self.idle_timeout).min(self.deadline);
                self.timer.as_mut().reset(next);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(end) => {
                self.state = State::Closed;
                Poll::Ready(end)
            }
            Poll::Pending => self.timer.poll_unpin(context).map(|()| {
                self.state = State::Closed;
                Some(Err(io::ErrorKind::TimedOut.into()))
            }),
        }
    }
}

impl Drop for LimitedBody {
    fn drop(&mut self) {
        if self.state != State::Open {
            return;
        }
        // Without a runtime the process is exiting, and the connection ends with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let rest = std::mem::replace(&mut self.stream, futures::stream::empty().boxed());
            runtime.spawn(timeout(DRAIN_TIMEOUT, drain(rest)));
        }
    }
}

async fn drain(mut rest: BoxStream<'static, io::Result<Bytes>>) {
    let mut left = DRAIN_BYTES;
    while let Some(Ok(chunk)) = rest.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}
