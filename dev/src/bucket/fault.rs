//! What an S3 server may do instead of its work.

use std::{
    io,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use s3s::{Body, service::S3Service};
use tokio::time::sleep;

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Connections break, new ones at once, as if nobody were there.
    Down,
    /// Every request waits so long before it is served.
    Slow(Duration),
    /// Every request is answered with this status, and not served.
    Answer(StatusCode),
    /// Every request is served, and its answer breaks off half-way.
    CutShort,
}

/// The fault that is in force, if any; all that share it see the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Switch(Arc<RwLock<Option<Fault>>>);

impl Switch {
    pub(super) fn set(&self, fault: Option<Fault>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub(super) fn get(&self) -> Option<Fault> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The S3 service behind a switch.
#[derive(Clone)]
pub(super) struct Faulty {
    pub(super) service: S3Service,
    pub(super) switch: Switch,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Incoming>> for Faulty {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self { service, switch } = self.clone();
        Box::pin(async move {
            let fault = switch.get();
            match fault {
                // Without an answer, the connection is closed.
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
                // Nothing to cut: the whole answer is lost.
                None | Some(0 | 1) => Err(broken()),
                Some(length) => Ok(answer.map(|body| Answer { body, left: Some(length / 2) })),
            }
        })
    }
}

fn broken() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

/// An answer's body, as far as it goes.
pub(super) struct Answer {
    body: Body,
    /// Bytes until it breaks; `None`: it does not.
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
