//! Problem documents (RFC 9457): the body of every error answer, also of those that the framework makes.

use poem::{
    Body, IntoResponse, Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{
    Object,
    payload::{Json, Payload},
    registry::{MetaSchemaRef, Registry},
    types::{Example, ToJSON as _},
};

use crate::{
    error::{self, Kind},
    health::Check,
    images::SourceFormat,
};

/// Why a request was not served: a problem document as RFC 9457 describes it. Test `type`, show `detail`.
#[derive(Clone, Debug, Default, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Problem {
    /// The kind of problem, as a stable reference to its description: `/problems/upload-too-large`, for example.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// The kind of problem in words. The same for every problem of this `type`.
    pub(crate) title: String,
    /// The HTTP status code.
    pub(crate) status: u16,
    /// What is wrong with this request, in a sentence or two.
    pub(crate) detail: String,
    /// The `X-Request-Id` of this answer. Quote it when you ask for help.
    pub(crate) request_id: String,
    /// `invalid-parameter`: the parameter's name.
    pub(crate) parameter: Option<String>,
    /// `invalid-field`: the field's name.
    pub(crate) field: Option<String>,
    /// `upload-too-large`: the greatest length of a file, in bytes.
    pub(crate) limit_bytes: Option<u64>,
    /// `unsupported-format`: what is read.
    pub(crate) supported_formats: Option<Vec<SourceFormat>>,
    /// `image-too-large`: the greatest width, in pixels.
    pub(crate) max_width: Option<u64>,
    /// `image-too-large`: the greatest height, in pixels.
    pub(crate) max_height: Option<u64>,
    /// `image-too-large`: the most pixels, summed over the frames.
    pub(crate) max_pixels: Option<u64>,
    /// `image-too-large`: the most frames.
    pub(crate) max_frames: Option<u64>,
    /// `image-too-large`: the most scans of a progressive JPEG.
    pub(crate) max_scans: Option<u64>,
    /// `unavailable`, from `/readyz`: what was looked at, and whether it works.
    pub(crate) checks: Option<Vec<Check>>,
}

impl Example for Problem {
    fn example() -> Self {
        let detail = "The file has more than 33554432 bytes.".to_owned();
        let request_id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        Self { request_id, limit_bytes: Some(33_554_432), ..Self::new(&error::TOO_LARGE, detail) }
    }
}

impl Problem {
    pub(crate) fn new(kind: &Kind, detail: String) -> Self {
        Self {
            kind: format!("/problems/{}", kind.slug),
            title: kind.title.to_owned(),
            status: kind.status.as_u16(),
            detail,
            ..Self::default()
        }
    }

    /// A problem that is no more than its status (RFC 9457, section 4.2.1).
    fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self {
            kind: "about:blank".to_owned(),
            detail: title.clone(),
            title,
            status: status.as_u16(),
            ..Self::default()
        }
    }

    /// What an error answer of the framework means. `text` is its body.
    fn of_framework(status: StatusCode, text: &str, asked: &Asked) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(&error::NOT_FOUND, format!("There is nothing at {}.", asked.path)),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(&error::METHOD, format!("{} does not work at {}.", asked.method, asked.path))
            }
            // A segment of the path that cannot be the id of anything.
            StatusCode::BAD_REQUEST if text.starts_with("failed to parse path") => {
                Self::new(&error::NOT_FOUND, format!("There is nothing at {}.", asked.path))
            }
            StatusCode::BAD_REQUEST => match text.strip_prefix("failed to parse parameter `") {
                Some(rest) => {
                    let (name, reason) = rest.split_once("`: ").unwrap_or((rest, "not valid"));
                    // The framework's own words for the type come first, in quotes.
                    let reason = reason.rsplit_once("\": ").map_or(reason, |(_, reason)| reason);
                    let detail = format!("{name}: {}", reason.trim_end_matches('.'));
                    Self { parameter: Some(name.to_owned()), ..Self::new(&error::PARAMETER, detail + ".") }
                }
                None => Self::new(&error::MALFORMED, "The request cannot be understood.".to_owned()),
            },
            status => Self::of_status(status),
        }
    }
}

/// A problem as an answer.
pub(crate) struct ProblemBody(Box<Problem>);

impl From<Problem> for ProblemBody {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl Payload for ProblemBody {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        Json::<Problem>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Json::<Problem>::register(registry);
    }
}

impl IntoResponse for ProblemBody {
    /// Only the status, and the problem beside it: [`document`] writes the body, because it knows the request.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::builder().status(status).finish();
        response.set_data(*self.0);
        response
    }
}

/// What of a request its problem document repeats.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) id: String,
}

impl Asked {
    pub(crate) fn new(request: &Request, id: String) -> Self {
        Self { method: request.method().clone(), path: request.uri().path().to_owned(), id }
    }
}

/// Gives every error answer a problem document for its body.
pub(crate) async fn document(mut response: Response, asked: &Asked) -> Response {
    if !(response.status().is_client_error() || response.status().is_server_error()) {
        return response;
    }
    let problem = if let Some(problem) = response.data::<Problem>() {
        problem.clone()
    } else {
        let text = response.take_body().into_string().await.unwrap_or_default();
        Problem::of_framework(response.status(), &text, asked)
    };
    let problem = Problem { request_id: asked.id.clone(), ..problem };
    // A path that cannot be anything's is not found, whatever the framework called it.
    response.set_status(StatusCode::from_u16(problem.status).unwrap_or(response.status()));
    response.set_body(Body::from_string(problem.to_json_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(ProblemBody::CONTENT_TYPE));
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
