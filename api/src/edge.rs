//! What every request and every answer has: a request id, a line in the log, a guarded body, headers that browsers
//! obey, and a problem document where something went wrong.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use poem::{
    Endpoint, IntoResponse as _, Request, Response, Result,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    body,
    error::ApiError,
    problem::{self, Asked},
    routes,
};

/// Names a request in the answer, in the log and in problem documents.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id taken from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// What an answer says where its endpoint says nothing else. Nothing here is a page that may load anything, and
/// states and signed URLs go stale within the hour.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Serves a request; never fails. `patience`: how long a client may send nothing within its body.
pub(crate) async fn serve<E>(endpoint: Arc<E>, mut request: Request, patience: Duration) -> Result<Response>
where
    E: Endpoint,
{
    let id = request_id(&request);
    let asked = Asked::new(&request, id.clone());
    let span = tracing::info_span!("request", id);
    body::guard(&mut request, patience);
    let answer = async {
        let mut line = AccessLine::new(&request);
        let answer = AssertUnwindSafe(endpoint.call(request)).catch_unwind().await;
        let answer = match answer {
            Ok(Ok(answer)) => answer.into_response(),
            Ok(Err(error)) => error.into_response(),
            Err(_) => poem::Error::from(ApiError::Panicked).into_response(),
        };
        let mut answer = problem::document(answer, &asked).await;
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            answer
                .headers_mut()
                .extend(HeaderValue::try_from(routes::allowed(&asked.path)).map(|value| (ALLOW, value)));
        }
        for (name, value) in HEADERS {
            answer.headers_mut().entry(name).or_insert(value);
        }
        answer.headers_mut().extend(HeaderValue::try_from(&asked.id).map(|value| (REQUEST_ID, value)));
        line.status = Some(answer.status());
        answer
    };
    Ok(answer.instrument(span).await)
}

/// The client's own id where it is fit to be printed; else a new one.
fn request_id(request: &Request) -> String {
    let plain = |id: &&str| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes a line to the log when the request is over, also when that is because its client went away.
struct AccessLine {
    method: String,
    path: String,
    from: String,
    began: Instant,
    status: Option<StatusCode>,
}

impl AccessLine {
    fn new(request: &Request) -> Self {
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            from: request.remote_addr().as_socket_addr().map(|address| address.ip().to_string()).unwrap_or_default(),
            began: Instant::now(),
            status: None,
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let Self { method, path, from, .. } = &self;
        let ms = self.began.elapsed().as_millis();
        match self.status.map(|status| status.as_u16()) {
            // Asked for every few seconds by whatever runs us.
            Some(200) if routes::is_probe(path) => tracing::debug!(status = 200, ms, from, "{method} {path}"),
            Some(status) => tracing::info!(status, ms, from, "{method} {path}"),
            None => tracing::info!(ms, from, "{method} {path}: the client went away"),
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_tells_nothing() {
        let endpoint = make_sync(|_| -> Response { panic!("the secret of the house") });
        let answer = serve(Arc::new(endpoint), Request::default(), body::PATIENCE).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let told = answer.into_body().into_string().await.unwrap();
        assert!(told.contains("/problems/internal-error") && !told.contains("secret"), "{told}");
    }
}
