//! Why a request fails, and which problem document (RFC 9457) the client receives. The match in
//! [`ApiError::problem_type`] is the only place that chooses a status code for an error.
//!
//! The detail that clients see is short and has no internals; the cause is logged under the same request id.

use std::{borrow::Cow, error::Error as StdError};

use darkroom_container::header::{HeaderError, Limit};
use darkroom_model::{SourceFormat, recipe::InvalidField};
use darkroom_queue::QueueError;
use darkroom_shared::{
    access::{Scope, Scopes},
    bucket::BucketError,
    catalog::CatalogError,
    database::{is_passing, is_statement_timeout},
    installation::InstallationError,
    staging::StagingError,
    telemetry::error_chain,
};
use poem::{
    error::{MethodNotAllowedError, NotFoundError, ResponseError},
    http::{Method, StatusCode},
};
use poem_openapi::error::{ParseParamError, ParsePathError};

use crate::{
    auth::refusal::Refusal,
    http::problem::{self, Check, Problem, ProblemType},
    limits::QuotaExceeded,
};

type Cause = Box<dyn StdError + Send + Sync>;

/// Why a request failed. `Display` is the detail for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request does not parse as what the framework expects.
    #[error("The request is malformed.")]
    Malformed,
    /// No resource has this path.
    #[error("There is nothing at {}.", excerpt(path, PATH_EXCERPT))]
    NoRoute {
        /// The path of the request.
        path: String,
    },
    /// The resource at this path does not support the method.
    #[error("{} does not support {}.", excerpt(path, PATH_EXCERPT), excerpt(method.as_str(), PATH_EXCERPT))]
    MethodNotAllowed {
        /// The method of the request.
        method: Method,
        /// The path of the request.
        path: String,
    },
    /// The request has no valid API key.
    #[error(transparent)]
    Unauthenticated(#[from] Refusal),
    /// The API key of the request lacks a scope.
    #[error("This needs an API key with the scope {required}; the key of the request has: {held}.")]
    MissingScope {
        /// What the operation needs.
        required: Scope,
        /// What the key has.
        held: Scopes,
    },
    /// The upload token of the request does not allow this upload.
    #[error("{0}")]
    NotGranted(String),
    /// A query parameter is invalid.
    #[error("{name}: {}.", excerpt(reason, REASON_EXCERPT))]
    Parameter {
        /// The name of the parameter.
        name: &'static str,
        /// What is expected, without a full stop.
        reason: String,
    },
    /// The image or the rendition does not exist, or no longer.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// The key is revoked or expired, and cannot be changed.
    #[error("The API key is revoked or expired.")]
    KeyEnded,
    /// The resource is not in a version that `If-Match` names.
    #[error("The image has changed: it has no version that If-Match names. Get it again.")]
    PreconditionFailed,
    /// The body is not `multipart/form-data`.
    #[error("The body must be multipart/form-data with a boundary.")]
    NotMultipart,
    /// The body is not declared as one of these media types.
    #[error("The body must be {0}.")]
    NotJson(&'static str),
    /// The body is not JSON, or not of the expected form.
    #[error("The JSON is invalid: {}.", excerpt(.0.trim_end_matches('.'), REASON_EXCERPT))]
    Json(String),
    /// The form violates the multipart syntax, or lacks a field, or repeats one, or has an unknown one.
    #[error("{0}")]
    Form(String),
    /// The value of a form field is invalid.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// The client sent nothing for too long, or the request took too long as a whole.
    #[error("The rest of the request was not received in time.")]
    Timeout,
    /// The file has more bytes than the limit.
    #[error("The file has more than {limit} bytes.")]
    UploadTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The file is not in one of the supported formats.
    #[error("{0}")]
    UnsupportedFormat(String),
    /// The file is truncated or violates its format.
    #[error("{0}")]
    BrokenImage(String),
    /// The image exceeds a limit other than the file's size.
    #[error("{detail}")]
    ImageTooLarge {
        /// The limit.
        limit: Limit,
        /// Its value.
        max: u64,
        /// For the client.
        detail: String,
    },
    /// A page of another site sends a request that changes something.
    #[error("Requests that change something may not come from pages of other sites.")]
    CrossSite,
    /// There are as many connections or requests in flight as the service may have.
    #[error("The service is busy with other requests. Try again later.")]
    Overloaded,
    /// The client or the owner has used up a limit.
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
    /// Uploads are refused until the service has less to do, or more room.
    #[error("{0}")]
    ReducedCapacity(&'static str),
    /// The image would have more renditions than allowed.
    #[error("The image would have {count} renditions; at most {max} are allowed.")]
    TooManyRenditions {
        /// How many it would have.
        count: u64,
        /// How many are allowed.
        max: u64,
    },
    /// The same `Idempotency-Key` came with another request.
    #[error("Another request has had this Idempotency-Key. Use a new key for each new request.")]
    IdempotencyKeyReused,
    /// A request with the same `Idempotency-Key` has not ended.
    #[error("A request with this Idempotency-Key is being handled. Try again later.")]
    IdempotencyKeyInUse,
    /// The disk of staging is full.
    #[error("There is no room for the upload. Try again later.")]
    StorageFull,
    /// A readiness check failed.
    #[error("Not ready: {}.", failed(.0))]
    NotReady(Vec<Check>),
    /// The process has received SIGTERM and will close its listener.
    #[error("Not ready: the process is about to stop.")]
    Stopping,
    /// A task without which the process cannot do its work has ended. Only a restart cures this.
    #[error("A task of this process has ended: {0}. It has to be restarted.")]
    TaskEnded(&'static str),
    /// Postgres ended a search that took too long.
    #[error("The search took too long. Search for a longer or a rarer part of the title, or try again later.")]
    SearchTimeout(#[source] Cause),
    /// Postgres, the bucket or staging cannot be reached or is full. A later attempt may succeed.
    #[error("The service is temporarily unavailable. Try again later.")]
    Unavailable(#[source] Cause),
    /// A bug, or a state that should not exist.
    #[error("An internal error occurred. It has been logged.")]
    Internal(#[source] Cause),
    /// A bug that panicked.
    #[error("An internal error occurred. It has been logged.")]
    Panicked,
}

impl ApiError {
    /// The problem type, which has the status code.
    fn problem_type(&self) -> &'static ProblemType {
        match self {
            Self::Malformed => &problem::MALFORMED_REQUEST,
            Self::NoRoute { .. } | Self::NotFound(_) => &problem::NOT_FOUND,
            Self::MethodNotAllowed { .. } => &problem::METHOD_NOT_ALLOWED,
            Self::Unauthenticated(_) => &problem::UNAUTHENTICATED,
            Self::MissingScope { .. } => &problem::MISSING_SCOPE,
            Self::NotGranted(_) => &problem::UPLOAD_TOKEN,
            Self::Parameter { .. } => &problem::INVALID_PARAMETER,
            Self::KeyEnded => &problem::KEY_ENDED,
            Self::PreconditionFailed => &problem::PRECONDITION_FAILED,
            Self::NotMultipart | Self::NotJson(_) => &problem::UNSUPPORTED_MEDIA_TYPE,
            Self::Json(_) => &problem::INVALID_JSON,
            Self::Form(_) => &problem::INVALID_FORM,
            Self::Field(_) => &problem::INVALID_FIELD,
            Self::Timeout => &problem::REQUEST_TIMEOUT,
            Self::UploadTooLarge { .. } => &problem::UPLOAD_TOO_LARGE,
            Self::UnsupportedFormat(_) => &problem::UNSUPPORTED_FORMAT,
            Self::BrokenImage(_) => &problem::BROKEN_IMAGE,
            Self::ImageTooLarge { .. } => &problem::IMAGE_TOO_LARGE,
            Self::CrossSite => &problem::CROSS_SITE_REQUEST,
            Self::Overloaded => &problem::OVERLOADED,
            Self::QuotaExceeded(_) => &problem::QUOTA_EXCEEDED,
            Self::ReducedCapacity(_) => &problem::REDUCED_CAPACITY,
            Self::TooManyRenditions { .. } => &problem::TOO_MANY_RENDITIONS,
            Self::IdempotencyKeyReused => &problem::IDEMPOTENCY_KEY_REUSED,
            Self::IdempotencyKeyInUse => &problem::IDEMPOTENCY_KEY_IN_USE,
            Self::StorageFull => &problem::INSUFFICIENT_STORAGE,
            Self::SearchTimeout(_) => &problem::SEARCH_TIMEOUT,
            Self::NotReady(_) | Self::Stopping | Self::TaskEnded(_) | Self::Unavailable(_) => &problem::UNAVAILABLE,
            Self::Internal(_) | Self::Panicked => &problem::INTERNAL_ERROR,
        }
    }

    /// The problem document, with the members of its type. Lacks the request id.
    pub(crate) fn problem(&self) -> Problem {
        let problem = Problem::new(self.problem_type(), self.to_string());
        match self {
            Self::MissingScope { required, held } => Problem {
                required_scope: Some((*required).into()),
                held_scopes: Some(held.iter().map(Into::into).collect()),
                ..problem
            },
            Self::Parameter { name, .. } => Problem { parameter: Some((*name).to_owned()), ..problem },
            Self::Field(invalid) => Problem { field: Some(invalid.field.to_owned()), ..problem },
            Self::QuotaExceeded(exceeded) => {
                Problem { violated_policies: Some(vec![exceeded.policy.to_owned()]), ..problem }
            }
            Self::TooManyRenditions { max, .. } => Problem { max_renditions: Some(*max), ..problem },
            Self::UploadTooLarge { limit } => Problem { limit_bytes: Some(*limit), ..problem },
            Self::UnsupportedFormat(_) => {
                let formats = SourceFormat::ALL.iter().map(|&format| format.into()).collect();
                Problem { supported_formats: Some(formats), ..problem }
            }
            Self::ImageTooLarge { limit, max, .. } => {
                let max = Some(*max);
                match limit {
                    Limit::Width => Problem { max_width: max, ..problem },
                    Limit::Height => Problem { max_height: max, ..problem },
                    Limit::Pixels => Problem { max_pixels: max, ..problem },
                    Limit::Frames => Problem { max_frames: max, ..problem },
                    Limit::Scans => Problem { max_scans: max, ..problem },
                }
            }
            Self::NotReady(checks) => Problem { checks: Some(checks.clone()), ..problem },
            _ => problem,
        }
    }

    /// An error that an endpoint or the framework returned for a request with this method and path.
    pub(crate) fn from_poem(error: poem::Error, method: &Method, path: &str) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(error) => return error,
            Err(error) => error,
        };
        if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
            // The framework writes `failed to parse "Type": reason`, and for an optional parameter
            // `(occurred while parsing "Type")` after it. Clients get the reason alone.
            let reason = reason.split_once(" (occurred while parsing ").map_or(reason.as_str(), |(reason, _)| reason);
            let reason = reason.rsplit_once("\": ").map_or(reason, |(_, reason)| reason);
            return Self::Parameter { name, reason: reason.trim_end_matches('.').to_owned() };
        }
        // A path segment that is not a UUID cannot be the id of an image.
        if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
            return Self::NoRoute { path: path.to_owned() };
        }
        if error.is::<MethodNotAllowedError>() {
            return Self::MethodNotAllowed { method: method.clone(), path: path.to_owned() };
        }
        if error.status().is_client_error() { Self::Malformed } else { Self::Internal(error.to_string().into()) }
    }

    /// Logs the cause, which the client does not see.
    pub(crate) fn log_cause(&self) {
        if let Some(cause) = self.source() {
            tracing::error!(status = %self.status(), "{}", error_chain(cause));
        }
    }
}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.problem_type().status
    }
}

/// How much of a path or a method an error repeats, in characters.
const PATH_EXCERPT: usize = 100;
/// How much of the reason for which a parameter is invalid an error repeats, in characters: it may have the value in it.
const REASON_EXCERPT: usize = 300;

/// The beginning of a text from a client, at most `max` characters, with an ellipsis where it is cut.
pub(crate) fn excerpt(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

/// The names of the failed checks.
fn failed(checks: &[Check]) -> String {
    let failed = checks.iter().filter(|check| !check.ok);
    failed.map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl From<HeaderError> for ApiError {
    fn from(error: HeaderError) -> Self {
        let detail = error.to_string();
        match error {
            HeaderError::Unsupported { .. } => Self::UnsupportedFormat(detail),
            HeaderError::Truncated { .. } | HeaderError::Broken(_) => Self::BrokenImage(detail),
            HeaderError::TooLarge { limit, max, .. } => Self::ImageTooLarge { limit, max, detail },
            // The staged file cannot be read, which says nothing about its contents.
            HeaderError::Io(error) => Self::Unavailable(error.into()),
        }
    }
}

impl From<StagingError> for ApiError {
    fn from(error: StagingError) -> Self {
        if error.is_full() {
            tracing::error!("{error}");
            return match error {
                StagingError::Full { .. } => Self::ReducedCapacity("There is no room for the upload. Try again later."),
                _ => Self::StorageFull,
            };
        }
        Self::Unavailable(error.into())
    }
}

impl From<InstallationError> for ApiError {
    fn from(error: InstallationError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<BucketError> for ApiError {
    fn from(error: BucketError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) }
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Sql(error) => error.into(),
            error @ CatalogError::Row(_) => Self::Internal(error.into()),
        }
    }
}

impl ApiError {
    /// The error of a search in the catalog.
    pub(crate) fn of_search(error: CatalogError) -> Self {
        match error {
            CatalogError::Sql(error) if is_statement_timeout(&error) => Self::SearchTimeout(error.into()),
            error => error.into(),
        }
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Sql(error) => error.into(),
            error => Self::Internal(error.into()),
        }
    }
}
