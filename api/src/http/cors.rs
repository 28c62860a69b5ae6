//! Cross-origin resource sharing (WHATWG Fetch, section 3.3): which pages of other sites may use the api.
//!
//! Not `poem::middleware::Cors`: it replaces `Vary`, refuses the own pages of the service, and takes every `OPTIONS` request for a
//! preflight. No response allows credentials: there are no cookies, and a key is sent in a header.

use poem::{
    Request, Response,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
};

use super::cross_site::AllowedOrigins;

/// Request headers that pages may send besides those that need no permission.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id");
/// Response headers that pages may read besides those that need no permission. A test compares them with the `OpenAPI` document.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
);
/// How long a browser may keep the response to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Whether a browser asks if a page may send a request.
pub(super) fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The response to a preflight, before [`complete`]. `methods`: those of the path, separated by commas.
pub(super) fn preflight(methods: &str) -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(ACCESS_CONTROL_ALLOW_METHODS, methods)
        .header(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
        .header(ACCESS_CONTROL_MAX_AGE, MAX_AGE)
        .finish()
}

/// The origin that may read the response: the value of `Access-Control-Allow-Origin`.
pub(super) fn allowed_origin(request: &Request, allowed: &AllowedOrigins) -> Option<HeaderValue> {
    let origin = request.headers().get(ORIGIN)?;
    if allowed.allows_all() {
        return Some(HeaderValue::from_static("*"));
    }
    allowed.lists(origin.to_str().ok()?).then(|| origin.clone())
}

/// Adds what a browser looks for in every response. `origin`: the result of [`allowed_origin`].
pub(super) fn complete(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    // A cache must not give one page the response to another.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    } else {
        for name in [ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_MAX_AGE] {
            headers.remove(name);
        }
    }
}
