//! Limits of request bodies: timeouts and a minimum rate while they are read, small chunks, and draining of what a handler
//! leaves unread.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, Stream, StreamExt as _, stream::BoxStream};
use poem::{Body, Request, http::header};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{client::Client, pace::Pace};

/// How long a whole body may take: 32 MiB at 150 kbit/s. Shorter than the age at which the sweep deletes drafts.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(30);
/// How many bytes of a refused body are drained. Most clients read no response before they have sent their request, and a
/// connection that is closed with unread bytes is reset, which loses the response.
const DRAIN_BYTES: u64 = 256 << 20;
/// How long draining may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Chunks shorter than this, in bytes, are joined with those that follow at once.
const JOINED_CHUNK: usize = 8 << 10;
/// How many chunks a body may have, however short: as many packets as a slow client sends for a small form.
const FREE_CHUNKS: u64 = 4096;
/// The average length of further chunks, in bytes. Receiving one takes about a microsecond of CPU time.
const MIN_CHUNK: u64 = 128;

/// A body of more chunks than its length allows.
#[derive(Debug, thiserror::Error)]
#[error("the chunks of the body are too short")]
pub(crate) struct ShortChunks;

/// Wraps the request's body: reading fails with [`io::ErrorKind::TimedOut`] when the client sends too slowly by `pace`, or when
/// the body as a whole takes too long, and with [`ShortChunks`]; dropping it drains the rest.
pub(crate) fn limit(request: &mut Request, pace: Pace) {
    let body = request.take_body();
    if body.is_empty() {
        return;
    }
    // This client sends its body only after `100 Continue`, so before the first read there is nothing to drain.
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let client = request.extensions().get::<Arc<Client>>().cloned();
    request.set_body(Body::from_bytes_stream(LimitedBody {
        stream: body.into_bytes_stream().boxed(),
        client: client.unwrap_or_default(),
        pace,
        deadline: Instant::now() + TOTAL_TIMEOUT,
        timer: Box::pin(sleep(TOTAL_TIMEOUT)),
        is_waiting: false,
        counts: Counts::default(),
        joined: BytesMut::new(),
        has_yielded: false,
        state: if expects_continue { State::AwaitsContinue } else { State::Open },
    }));
}

struct LimitedBody {
    stream: BoxStream<'static, io::Result<Bytes>>,
    client: Arc<Client>,
    pace: Pace,
    deadline: Instant,
    /// While `is_waiting`: elapses when the client is too slow, or at `deadline`.
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
    counts: Counts,
    /// Short chunks that have not been returned yet.
    joined: BytesMut,
    /// Whether the connection has had a turn to deliver the next chunk since the last one.
    has_yielded: bool,
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

/// What has been received of a body.
#[derive(Clone, Copy, Default)]
struct Counts {
    bytes: u64,
    chunks: u64,
}

impl Counts {
    /// Counts a chunk; `false` if there are too many for their length.
    fn add(&mut self, chunk: &Bytes) -> bool {
        self.bytes += chunk.len() as u64;
        self.chunks += 1;
        self.chunks <= FREE_CHUNKS + self.bytes / MIN_CHUNK
    }
}

impl LimitedBody {
    fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.pace.stop_waiting();
            // Who drips bytes is not active.
            if self.pace.is_kept() {
                self.client.has_progressed();
            }
        }
    }

    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let timeout = self.pace.start_waiting();
            self.timer.as_mut().reset((Instant::now() + timeout).min(self.deadline));
            self.client.starts_to_wait();
        }
        self.timer.poll_unpin(context)
    }

    /// The chunks joined so far.
    fn take_joined(&mut self) -> Poll<Option<io::Result<Bytes>>> {
        self.has_yielded = false;
        Poll::Ready(Some(Ok(self.joined.split().freeze())))
    }

    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.state = State::Closed;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for LimitedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.state == State::Closed {
            return if this.joined.is_empty() { Poll::Ready(None) } else { this.take_joined() };
        }
        this.state = State::Open;
        loop {
            match this.stream.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    this.pace.add(chunk.len());
                    this.stop_waiting();
                    if !this.counts.add(&chunk) {
                        return this.fail(io::Error::other(ShortChunks));
                    }
                    if this.joined.is_empty() && chunk.len() >= JOINED_CHUNK {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    this.joined.extend_from_slice(&chunk);
                    if this.joined.len() >= JOINED_CHUNK {
                        return this.take_joined();
                    }
                    this.has_yielded = false;
                }
                Poll::Ready(Some(Err(error))) => return this.fail(error),
                Poll::Ready(None) => {
                    this.state = State::Closed;
                    this.stop_waiting();
                    // From here on the client waits for the service.
                    this.client.has_progressed();
                    return if this.joined.is_empty() { Poll::Ready(None) } else { this.take_joined() };
                }
                Poll::Pending if this.joined.is_empty() => {
                    return match this.poll_timeout(context) {
                        Poll::Ready(()) => this.fail(io::ErrorKind::TimedOut.into()),
                        Poll::Pending => Poll::Pending,
                    };
                }
                Poll::Pending if this.has_yielded => return this.take_joined(),
                // The connection and the handler are one task: the connection delivers the next chunk in its next turn.
                Poll::Pending => {
                    this.has_yielded = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
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
            runtime.spawn(timeout(DRAIN_TIMEOUT, drain(rest, self.counts)));
        }
    }
}

async fn drain(mut rest: BoxStream<'static, io::Result<Bytes>>, mut counts: Counts) {
    let end = counts.bytes + DRAIN_BYTES;
    while let Some(Ok(chunk)) = rest.next().await {
        if !counts.add(&chunk) || counts.bytes > end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static, pace: Pace) -> Body {
        let mut request = Request::default();
        request.set_body(Body::from_bytes_stream(stream));
        limit(&mut request, pace);
        request.take_body()
    }

    fn chunks(count: usize, length: usize) -> impl Stream<Item = io::Result<Bytes>> {
        futures::stream::iter((0..count).map(move |_| Ok(Bytes::from(vec![b'x'; length]))))
    }

    #[tokio::test]
    async fn short_chunks_are_joined() {
        let mut joined = limited(chunks(1000, 20), Pace::default()).into_bytes_stream().boxed();
        let mut lengths = Vec::new();
        while let Some(chunk) = joined.next().await {
            lengths.push(chunk.unwrap().len());
        }
        assert_eq!(lengths.iter().sum::<usize>(), 20_000);
        assert_eq!(lengths.len(), 3, "{lengths:?}");
    }

    #[tokio::test]
    async fn a_body_of_short_chunks_is_refused() {
        assert_eq!(limited(chunks(4000, 1), Pace::default()).into_vec().await.unwrap().len(), 4000);
        assert!(limited(chunks(100_000, 1), Pace::default()).into_vec().await.is_err());
        assert_eq!(limited(chunks(10_000, 128), Pace::default()).into_vec().await.unwrap().len(), 1_280_000);
    }

    #[tokio::test]
    async fn a_body_that_never_continues_times_out() {
        let pace = Pace::new(Duration::ZERO, 0);
        let body = limited(chunks(1, 1).chain(futures::stream::pending()), pace);
        let error = body.into_bytes_stream().skip(1).next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
