//! A connection's stream with deadlines: for the headers of a request, and for a client that takes its response too slowly.
//! Request bodies have their own, see `body`.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{client::Client, pace::Pace};

/// How long the headers of a request may take from their first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection's stream. Fails with [`io::ErrorKind::TimedOut`] when a deadline has passed.
pub(super) struct ClientIo {
    stream: TcpStream,
    client: Arc<Client>,
    write: WriteTimer,
    /// Elapses when the headers take too long; `None` outside of headers.
    header_timer: Option<Pin<Box<Sleep>>>,
}

/// Waits for a client that takes bytes.
struct WriteTimer {
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl ClientIo {
    pub(super) fn new(stream: TcpStream, client: Arc<Client>, pace: Pace) -> Self {
        let write = WriteTimer { pace, timer: Box::pin(sleep(Duration::ZERO)), is_waiting: false };
        Self { stream, client, write, header_timer: None }
    }
}

impl WriteTimer {
    /// Replaces `Pending` by an error when the client has taken bytes too slowly.
    fn watch(
        &mut self,
        written: Poll<io::Result<usize>>,
        client: &Client,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                if !std::mem::replace(&mut self.is_waiting, true) {
                    let timeout = self.pace.start_waiting();
                    self.timer.as_mut().reset(Instant::now() + timeout);
                    client.starts_to_wait();
                }
                self.timer.poll_unpin(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(result) => {
                self.pace.add(*result.as_ref().unwrap_or(&0));
                if std::mem::take(&mut self.is_waiting) {
                    self.pace.stop_waiting();
                    // Who takes a few bytes at a time is not active.
                    if self.pace.is_kept() {
                        client.has_progressed();
                    }
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if this.client.is_in_request() {
            this.header_timer = None;
            return read;
        }
        match read {
            Poll::Ready(_) => {
                if this.header_timer.is_none() && buffer.filled().len() > before {
                    this.client.has_spoken();
                    this.header_timer = Some(Box::pin(sleep(HEADER_TIMEOUT)));
                }
                read
            }
            Poll::Pending => {
                this.client.starts_to_wait();
                match &mut this.header_timer {
                    Some(timer) => timer.poll_unpin(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
                    None => Poll::Pending,
                }
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.write.watch(written, &this.client, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.write.watch(written, &this.client, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
