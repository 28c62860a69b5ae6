//! What every request and every response has: a request id, a line in the access log, timeouts on the body, refusal beyond the
//! server's bounds and from other sites, security headers, those of CORS, and a problem document if it failed.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures::FutureExt as _;
use poem::{
    Endpoint, IntoResponse, Request, Response, Result,
    error::ResponseError as _,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use tracing::{Instrument as _, field};
use uuid::Uuid;

use super::{body, cors, cross_site::AllowedOrigins, pace::Pace, routes::Routes};
use crate::{
    auth::refusal::Refusal,
    error::{ApiError, excerpt},
    limits::{Quotas, fields::whole_seconds},
};

/// Identifies a request in the response, in the log and in problem documents.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a client's request id, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// How much of a path the access log repeats, in characters.
const LOGGED_PATH: usize = 200;
/// `Retry-After` of a response that the service is unavailable, in seconds.
const RETRY_AFTER_UNAVAILABLE: HeaderValue = HeaderValue::from_static("5");
/// Paths that orchestrators request every few seconds. They are answered beyond all bounds.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Whether this path is a probe's.
pub(super) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// Marks a request beyond the bounds of connections or requests in flight: it is refused before its body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overloaded;

/// The id of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Marks a request whose method is HEAD; the router turns it into GET.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsHead;

/// How requests are treated.
#[derive(Clone, Debug)]
pub(crate) struct RequestPolicy {
    /// How slowly a client may send its body.
    pub(crate) pace: Pace,
    /// The origins whose pages may use the api.
    pub(crate) origins: AllowedOrigins,
}

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

/// Handles a request; never fails.
pub(crate) async fn handle<E>(
    endpoint: Arc<E>,
    routes: Arc<Routes>,
    mut request: Request,
    policy: Arc<RequestPolicy>,
) -> Result<Response>
where
    E: Endpoint,
{
    let info = RequestInfo::new(&request);
    // Who calls is known once the request is authenticated.
    let span = tracing::info_span!("request", id = info.id, key = field::Empty, owner = field::Empty);
    request.extensions_mut().insert(RequestId(info.id.clone()));
    body::limit(&mut request, policy.pace.clone());
    let refused = refuse(&request, &policy);
    let allowed_origin = cors::allowed_origin(&request, &policy.origins);
    let quotas = Quotas::attach(&mut request);
    if request.method() == Method::HEAD {
        request.extensions_mut().insert(IsHead);
    }
    let response = async {
        let mut line = AccessLine::new(&info);
        let call = async {
            match refused {
                // Drops the request, which drains its body.
                Some(error) => {
                    drop(request);
                    Err(error.into())
                }
                None if cors::is_preflight(&request) => Ok(cors::preflight(&routes.allow(&info.path))),
                None => endpoint.call(request).await.map(IntoResponse::into_response),
            }
        };
        let result = AssertUnwindSafe(call).catch_unwind().await;
        let mut response = match result {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => error_response(&ApiError::from_poem(error, &info.method, &info.path), &info, &routes),
            Err(_) => error_response(&ApiError::Panicked, &info, &routes),
        };
        for (name, value) in DEFAULT_HEADERS {
            response.headers_mut().entry(name).or_insert(value);
        }
        quotas.write(response.headers_mut());
        response.headers_mut().extend(HeaderValue::try_from(&info.id).map(|value| (REQUEST_ID, value)));
        cors::complete(response.headers_mut(), allowed_origin);
        line.status = Some(response.status());
        response
    };
    Ok(response.instrument(span).await)
}

/// Why a request is refused before it is routed.
fn refuse(request: &Request, policy: &RequestPolicy) -> Option<ApiError> {
    if request.extensions().get::<Overloaded>().is_some() {
        return Some(ApiError::Overloaded);
    }
    (!policy.origins.allow(request)).then_some(ApiError::CrossSite)
}

fn error_response(error: &ApiError, info: &RequestInfo, routes: &Routes) -> Response {
    error.log_cause();
    let mut response = error.problem().into_response(error.status(), &info.id);
    let headers = response.headers_mut();
    match error {
        ApiError::Unauthenticated(_) | ApiError::MissingScope { .. } => {
            headers.extend(HeaderValue::try_from(challenge(error)).map(|value| (WWW_AUTHENTICATE, value)));
        }
        ApiError::MethodNotAllowed { path, .. } => {
            headers.extend(HeaderValue::try_from(routes.allow(path)).map(|value| (ALLOW, value)));
        }
        ApiError::Unavailable(_)
        | ApiError::NotReady(_)
        | ApiError::Stopping
        | ApiError::TaskEnded(_)
        | ApiError::SearchTimeout(_)
        | ApiError::Overloaded
        | ApiError::IdempotencyKeyInUse
        | ApiError::StorageFull => {
            headers.insert(RETRY_AFTER, RETRY_AFTER_UNAVAILABLE);
        }
        ApiError::ReducedCapacity(_) => {
            headers.insert(RETRY_AFTER, retry_after_reduced().into());
        }
        ApiError::QuotaExceeded(exceeded) => {
            headers.extend(exceeded.retry_after.map(|time| (RETRY_AFTER, whole_seconds(time).into())));
        }
        _ => {}
    }
    response
}

/// The value of `WWW-Authenticate` (RFC 6750, section 3): without an error if the request has no key.
fn challenge(error: &ApiError) -> String {
    let realm = "Bearer realm=\"darkroom\"";
    match error {
        ApiError::Unauthenticated(Refusal::NoKey | Refusal::NotLocal) => realm.to_owned(),
        ApiError::MissingScope { required, .. } => {
            format!("{realm}, error=\"insufficient_scope\", scope=\"{required}\"")
        }
        _ => format!("{realm}, error=\"invalid_token\""),
    }
}

/// `Retry-After` of a refused upload, in seconds: 5 to 14, so that clients which were refused together do not return together.
fn retry_after_reduced() -> u64 {
    5 + u64::from(chrono::Utc::now().timestamp_subsec_millis() % 10)
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
        let (path, ms) = (excerpt(path, LOGGED_PATH), self.start.elapsed().as_millis());
        match self.status.map(|status| status.as_u16()) {
            Some(200) if is_probe(&path) => {
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
        let policy = RequestPolicy { pace: Pace::default(), origins: AllowedOrigins::default() };
        let response = handle(Arc::new(endpoint), routes, Request::default(), Arc::new(policy)).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().into_string().await.unwrap();
        assert!(body.contains("/problems/internal-error") && !body.contains("secret"), "{body}");
    }
}
