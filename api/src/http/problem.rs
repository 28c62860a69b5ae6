//! Problem documents (RFC 9457): the body of every error response.

use poem::{
    Response,
    http::{StatusCode, header::CONTENT_TYPE},
};
use poem_openapi::{
    Enum, Object,
    payload::{Json, Payload},
    registry::{MetaSchemaRef, Registry},
    types::{Example, ToJSON as _},
};

use crate::{formats::SourceFormat, keys::scope::Scope};

/// A problem type (RFC 9457, section 4).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProblemType {
    /// The last segment of its URI, `/problems/<slug>`, which describes it; or the whole URI of a type that IANA has registered.
    pub(crate) slug: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
}

impl ProblemType {
    /// The URI in problem documents.
    pub(crate) fn uri(&self) -> String {
        if self.slug.starts_with("https://") { self.slug.to_owned() } else { format!("/problems/{}", self.slug) }
    }
}

macro_rules! problem_types {
    ($($id:ident = $status:ident $slug:literal $title:literal;)+) => {
        $(pub(crate) const $id: ProblemType = ProblemType { slug: $slug, status: StatusCode::$status, title: $title };)+
        /// All problem types.
        pub(crate) const PROBLEM_TYPES: &[&ProblemType] = &[$(&$id),+];
    };
}

problem_types! {
    MALFORMED_REQUEST = BAD_REQUEST "malformed-request" "The request is malformed";
    INVALID_PARAMETER = BAD_REQUEST "invalid-parameter" "A parameter of the URL is invalid";
    INVALID_FORM = BAD_REQUEST "invalid-form" "The form is malformed, incomplete or has unexpected fields";
    INVALID_JSON = BAD_REQUEST "invalid-json" "The JSON of the request is malformed, incomplete or has unexpected members";
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated" "The request has no valid API key";
    MISSING_SCOPE = FORBIDDEN "missing-scope" "The API key may not do this";
    UPLOAD_TOKEN = FORBIDDEN "upload-token" "The upload token does not allow this upload";
    CROSS_SITE_REQUEST = FORBIDDEN "cross-site-request" "Pages of other sites may not change anything";
    NOT_FOUND = NOT_FOUND "not-found" "The resource does not exist";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed" "The resource does not support this method";
    PRECONDITION_FAILED = PRECONDITION_FAILED "precondition-failed" "The resource has changed";
    KEY_ENDED = CONFLICT "key-ended" "The API key is revoked or expired";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "request-timeout" "The request was not received in time";
    UPLOAD_TOO_LARGE = PAYLOAD_TOO_LARGE "upload-too-large" "The file is larger than allowed";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The media type of the request is not supported";
    UNSUPPORTED_FORMAT = UNSUPPORTED_MEDIA_TYPE "unsupported-format" "The file is not in a supported image format";
    INVALID_FIELD = UNPROCESSABLE_ENTITY "invalid-field" "A field of the request is invalid";
    BROKEN_IMAGE = UNPROCESSABLE_ENTITY "broken-image" "The image is damaged or truncated";
    IMAGE_TOO_LARGE = UNPROCESSABLE_ENTITY "image-too-large" "The image has more pixels or frames than allowed";
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency-key-reused" "Another request has had the same Idempotency-Key";
    IDEMPOTENCY_KEY_IN_USE = CONFLICT "idempotency-key-in-use" "A request with the same Idempotency-Key is being handled";
    TOO_MANY_RENDITIONS = UNPROCESSABLE_ENTITY "too-many-renditions" "The image would have more renditions than allowed";
    QUOTA_EXCEEDED = TOO_MANY_REQUESTS "https://iana.org/assignments/http-problem-types#quota-exceeded"
        "A limit of the client is exceeded";
    INTERNAL_ERROR = INTERNAL_SERVER_ERROR "internal-error" "Internal error";
    SEARCH_TIMEOUT = SERVICE_UNAVAILABLE "search-timeout" "The search took too long";
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "The service is temporarily unavailable";
    OVERLOADED = SERVICE_UNAVAILABLE "overloaded" "The service has as many requests or connections as it may have";
    REDUCED_CAPACITY = SERVICE_UNAVAILABLE "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
        "The service accepts no uploads at the moment";
    INSUFFICIENT_STORAGE = INSUFFICIENT_STORAGE "insufficient-storage" "There is no room for the upload";
}

/// Why a request failed: a problem document (RFC 9457). Programs should test `type`, people should see `detail`.
#[derive(Clone, Debug, Default, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Problem {
    /// The problem type, a stable reference to its description; for example `/problems/upload-too-large`.
    #[oai(rename = "type")]
    pub(crate) uri: String,
    /// The problem type in words. The same for every problem of this `type`.
    pub(crate) title: String,
    /// The HTTP status code.
    pub(crate) status: u16,
    /// What is wrong with this request, in one or two sentences.
    pub(crate) detail: String,
    /// The `X-Request-Id` of this response. Quote it when you ask for help.
    pub(crate) request_id: String,
    /// `missing-scope`: the scope that the operation needs.
    pub(crate) required_scope: Option<Scope>,
    /// `missing-scope`: the scopes that the key has.
    pub(crate) held_scopes: Option<Vec<Scope>>,
    /// `invalid-parameter`: the name of the parameter.
    pub(crate) parameter: Option<String>,
    /// `invalid-field`: the name of the field.
    pub(crate) field: Option<String>,
    /// `upload-too-large`: the maximum size of a file, in bytes.
    pub(crate) limit_bytes: Option<u64>,
    /// `unsupported-format`: the supported formats.
    pub(crate) supported_formats: Option<Vec<SourceFormat>>,
    /// `image-too-large`: the maximum width, in pixels.
    pub(crate) max_width: Option<u64>,
    /// `image-too-large`: the maximum height, in pixels.
    pub(crate) max_height: Option<u64>,
    /// `image-too-large`: the maximum number of pixels, summed over the frames.
    pub(crate) max_pixels: Option<u64>,
    /// `image-too-large`: the maximum number of frames.
    pub(crate) max_frames: Option<u64>,
    /// `image-too-large`: the maximum number of scans of a progressive JPEG.
    pub(crate) max_scans: Option<u64>,
    /// `quota-exceeded`: the names of the limits, as in `GET /v1/limits`.
    #[oai(rename = "violated-policies")]
    pub(crate) violated_policies: Option<Vec<String>>,
    /// `too-many-renditions`: the maximum number of renditions of an image.
    pub(crate) max_renditions: Option<u64>,
    /// `unavailable`, from `/readyz`: the result of every check.
    pub(crate) checks: Option<Vec<Check>>,
}

/// The result of one readiness check.
#[derive(Clone, Debug, Object)]
pub(crate) struct Check {
    /// The dependency that was checked.
    pub(crate) name: Dependency,
    /// Whether it works.
    pub(crate) ok: bool,
}

/// A dependency of the api.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Need", rename_all = "lowercase")]
pub(crate) enum Dependency {
    /// The database accepts queries.
    Postgres,
    /// The database has this binary's schema.
    Migrations,
    /// The bucket can be listed.
    Bucket,
    /// Uploads can be written.
    Staging,
    /// The database, the bucket and staging belong together.
    Installation,
}

impl Dependency {
    /// The name in JSON and in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Migrations => "migrations",
            Self::Bucket => "bucket",
            Self::Staging => "staging",
            Self::Installation => "installation",
        }
    }
}

impl Problem {
    pub(crate) fn new(problem_type: &ProblemType, detail: String) -> Self {
        Self {
            uri: problem_type.uri(),
            title: problem_type.title.to_owned(),
            status: problem_type.status.as_u16(),
            detail,
            ..Self::default()
        }
    }

    /// The problem as a response to the request with this id.
    pub(crate) fn into_response(self, status: StatusCode, request_id: &str) -> Response {
        let problem = Self { request_id: request_id.to_owned(), ..self };
        Response::builder()
            .status(status)
            .header(CONTENT_TYPE, ProblemPayload::CONTENT_TYPE)
            .body(problem.to_json_string())
    }
}

impl Example for Problem {
    fn example() -> Self {
        let detail = "The file has more than 33554432 bytes.".to_owned();
        let request_id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        Self { request_id, limit_bytes: Some(33_554_432), ..Self::new(&UPLOAD_TOO_LARGE, detail) }
    }
}

/// The media type and the schema of a [`Problem`], for the `OpenAPI` document. Has no values: the middleware writes the
/// response, because it knows the request id.
pub(crate) enum ProblemPayload {}

impl Payload for ProblemPayload {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        Json::<Problem>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Json::<Problem>::register(registry);
    }
}
