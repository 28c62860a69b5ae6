//! What every request and every response has: a request id, a line in the access log, timeouts on the body, security
//! headers, and a problem document if it failed.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use poem::{
    Endpoint, IntoResponse as _, Request, Response, Result,
    error::ResponseError as _,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
    },
};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{body, routes::Routes};
use crate::error::ApiError;

/// Identifies a request in the response, in the log and in problem documents.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a client's request id, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// `Retry-After` of a response that the service is unavailable, in seconds.
const RETRY_AFTER_UNAVAILABLE: HeaderValue = HeaderValue::from_static("5");
/// Paths that orchestrators request every few seconds.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The headers of every response whose endpoint sets no others. Only `/docs` may load anything, and both states and
/// presigned URLs become stale, so nothing is cached.
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The parts of a request that its response and its log lines repeat.
struct RequestInfo {
    method: Method,
    path: String,
    id: String,
    /// The client's IP address.
    client: String,
}

/// Handles a request; never fails. `idle_timeout`: how long a client may send nothing within the body.
pub(crate) async fn handle<E>(
    endpoint: Arc<E>,
    routes: Arc<Routes>,
    mut request: Request,
    idle_timeout: Duration,
) -> Result<Response>
where
    E: Endpoint,
{
    let info = RequestInfo::new(&request);
    let span = tracing::info_span!("request", id = info.id);
    body::limit(&mut request, idle_timeout);
    let response = async {
        let mut line = AccessLine::new(&info);
        let result = AssertUnwindSafe(endpoint.call(request)).catch_unwind().await;
        let mut response = match result {
            Ok(Ok(response)) => response.into_response(),
            Ok(Err(error)) => error_response(&ApiError::from_poem(error, &info.method, &info.path), &info, &routes),
            Err(_) => error_response(&ApiError::Panicked, &info, &routes),
        };
        for (name, value) in DEFAULT_HEADERS {
            response.headers_mut().entry(name).or_insert(value);
        }
        response.headers_mut().extend(HeaderValue::try_from(&info.id).map(|value| (REQUEST_ID, value)));
        line.status = Some(response.status());
        response
    };
    Ok(response.instrument(span).await)
}

fn error_response(error: &ApiError, info: &RequestInfo, routes: &Routes) -> Response {
    error.log_cause();
    let mut response = error.problem().into_response(error.status(), &info.id);
    let headers = response.headers_mut();
    match error {
        ApiError::MethodNotAllowed { path, .. } => {
            headers.extend(HeaderValue::try_from(routes.allow(path)).map(|value| (ALLOW, value)));
        }
        ApiError::Unavailable(_) | ApiError::NotReady(_) => {
            headers.insert(RETRY_AFTER, RETRY_AFTER_UNAVAILABLE);
        }
        _ => {}
    }
    response
}

impl RequestInfo {
    fn new(request: &Request) -> Self {
        let address = request.remote_addr().as_socket_addr();
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            id: request_id(request),
            client: address.map(|address| address.ip().to_string()).unwrap_or_default(),
        }
    }
}

/// The client's request id if it is safe to print; otherwise a new one.
fn request_id(request: &Request) -> String {
    let is_safe = |id: &&str| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(is_safe);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes a line to the access log when it is dropped: after the response, or when the client has disconnected.
struct AccessLine<'a> {
    request: &'a RequestInfo,
    start: Instant,
    /// `None` until there is a response.
    status: Option<StatusCode>,
}

impl<'a> AccessLine<'a> {
    fn new(request: &'a RequestInfo) -> Self {
        Self { request, start: Instant::now(), status: None }
    }
}

impl Drop for AccessLine<'_> {
    fn drop(&mut self) {
        let RequestInfo { method, path, client, .. } = self.request;
        let ms = self.start.elapsed().as_millis();
        match self.status.map(|status| status.as_u16()) {
            Some(200) if PROBES.contains(&path.as_str()) => {
                tracing::debug!(status = 200, ms, client, "{method} {path}");
            }
            Some(status) => tracing::info!(status, ms, client, "{method} {path}"),
            None => tracing::info!(ms, client, "{method} {path}: the client disconnected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;

    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_problem_document_without_internals() {
        let endpoint = make_sync(|_| -> Response { panic!("an internal secret") });
        let routes = Arc::new(Routes::new(Vec::new()));
        let response = handle(Arc::new(endpoint), routes, Request::default(), body::IDLE_TIMEOUT).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().into_string().await.unwrap();
        assert!(body.contains("/problems/internal-error") && !body.contains("secret"), "{body}");
    }
}
