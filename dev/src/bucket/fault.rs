//! Faults of an S3 server, for tests.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use s3s::{Body, service::S3Service};
use tokio::time::sleep;

/// A fault of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Running requests and new connections are closed without an answer.
    Down,
    /// Every request is delayed by this time.
    Slow(Duration),
    /// Every request is answered with this status, and not served.
    Answer(StatusCode),
    /// Every request is served, and the connection breaks half-way through its answer.
    CutShort,
}

/// The injected fault, if any. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct CurrentFault(Arc<RwLock<Option<Fault>>>);

impl CurrentFault {
    pub(super) fn set(&self, fault: Option<Fault>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub(super) fn get(&self) -> Option<Fault> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The S3 service with the injected fault.
#[derive(Clone)]
pub(super) struct FaultyService {
    pub(super) service: S3Service,
    pub(super) fault: CurrentFault,
    pub(super) requests: Arc<AtomicU64>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Incoming>> for FaultyService {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self { service, fault, requests } = self.clone();
        requests.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let fault = fault.get();
            match fault {
                // An error closes the connection.
                Some(Fault::Down) => return Err(broken()),
                Some(Fault::Answer(status)) => {
                    let mut answer = Response::new(Answer::whole(Body::from(Bytes::new())));
                    *answer.status_mut() = status;
                    return Ok(answer);
                }
                Some(Fault::Slow(wait)) => sleep(wait).await,
                Some(Fault::CutShort) | None => {}
            }
            let answer = service.call(request.map(Body::from)).await.map_err(|error| format!("{error:?}"))?;
            if fault != Some(Fault::CutShort) {
                return Ok(answer.map(Answer::whole));
            }
            match answer.body().size_hint().exact() {
                // Too short to cut.
                None | Some(0 | 1) => Err(broken()),
                Some(length) => Ok(answer.map(|body| Answer { body, left: Some(length / 2) })),
            }
        })
    }
}

fn broken() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

/// The body of an answer, possibly cut short.
pub(super) struct Answer {
    body: Body,
    /// Bytes until the connection breaks; `None`: it does not.
    left: Option<u64>,
}

impl Answer {
    fn whole(body: Body) -> Self {
        Self { body, left: None }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == Some(0) {
            return Poll::Ready(Some(Err(broken())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(left) = self.left else { return Poll::Ready(frame) };
        Poll::Ready(frame.map(|frame| {
            Ok(frame?.map_data(|data| {
                let kept = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.left = Some(left - kept as u64);
                data.slice(..kept)
            }))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
