//! A request's body as handlers get it: it cannot stall for ever, and what they leave of it is drained.

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
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a whole body may take: 32 MiB at 150 kbit/s. Shorter than the least age at which the sweep takes a draft.
const WHOLE: Duration = Duration::from_mins(30);
/// What is read of a body that was refused, so that the client hears why. Most clients read no answer before they
/// have sent their request, and a connection that is closed with unread bytes is reset, which loses the answer.
const DRAIN_BYTES: usize = 256 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// Puts the request's body under guard: a client that sends nothing for `patience` is given up.
pub(crate) fn guard(request: &mut Request, patience: Duration) {
    let body = request.take_body();
    if body.is_empty() {
        return;
    }
    // Such a client waits for `100 Continue` before it sends; it gets its answer in that one's place.
    let waits = request.headers().contains_key(header::EXPECT);
    request.set_body(Body::from_bytes_stream(Guarded {
        stream: body.into_bytes_stream().boxed(),
        patience,
        silence: Box::pin(sleep(patience)),
        end: Instant::now() + WHOLE,
        state: if waits { State::Unasked } else { State::Open },
    }));
}

struct Guarded {
    stream: BoxStream<'static, io::Result<Bytes>>,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
    end: Instant,
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// The client waits to be asked for its body.
    Unasked,
    Open,
    /// At its end, or broken off.
    Closed,
}

impl Stream for Guarded {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.state == State::Closed {
            return Poll::Ready(None);
        }
        self.state = State::Open;
        match self.stream.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                let next = (Instant::now() + self.patience).min(self.end);
                self.silence.as_mut().reset(next);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(end) => {
                self.state = State::Closed;
                Poll::Ready(end)
            }
            Poll::Pending => self.silence.poll_unpin(context).map(|()| {
                self.state = State::Closed;
                Some(Err(io::ErrorKind::TimedOut.into()))
            }),
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.state != State::Open {
            return;
        }
        // Without a runtime the process is ending, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let rest = std::mem::replace(&mut self.stream, futures::stream::empty().boxed());
            runtime.spawn(timeout(DRAIN_TIME, drain(rest)));
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
