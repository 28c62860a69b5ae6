//! What can go wrong in a request, and what the client is told: the only place that knows status codes.
//!
//! Every error is answered with a problem document (RFC 9457). Its texts are short and hold nothing internal; the
//! cause goes to the log, under the same request id.

use std::{error::Error as StdError, marker::PhantomData};

use darkroom_container::header::{HeaderError, Limit};
use darkroom_model::SourceFormat;
use darkroom_queue::QueueError;
use darkroom_shared::{
    bucket::BucketError, catalog::CatalogError, database::is_passing, staging::StagingError, telemetry::error_chain,
};
use poem::http::StatusCode;
use poem_openapi::{
    ApiResponse, ResponseContent as _,
    registry::{MetaResponse, MetaResponses, Registry},
};

use crate::problem::{Problem, ProblemBody};

type Cause = Box<dyn StdError + Send + Sync>;

/// A kind of problem. Its `type` in a problem document is `/problems/<slug>`, where the api explains it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) slug: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
}

macro_rules! kinds {
    ($($id:ident = $status:ident $slug:literal $title:literal;)+) => {
        $(pub(crate) const $id: Kind = Kind { slug: $slug, status: StatusCode::$status, title: $title };)+
        /// All of them.
        pub(crate) const KINDS: &[&Kind] = &[$(&$id),+];
    };
}

kinds! {
    MALFORMED = BAD_REQUEST "malformed-request" "The request cannot be understood";
    PARAMETER = BAD_REQUEST "invalid-parameter" "A parameter of the URL is not valid";
    FORM = BAD_REQUEST "invalid-form" "The form is incomplete, or has what it should not have";
    NOT_FOUND = NOT_FOUND "not-found" "There is nothing at this address";
    METHOD = METHOD_NOT_ALLOWED "method-not-allowed" "This method does not work at this address";
    TIMEOUT = REQUEST_TIMEOUT "request-timeout" "The request was not sent within the time allowed";
    TOO_LARGE = PAYLOAD_TOO_LARGE "upload-too-large" "The file has more bytes than are accepted";
    MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The request's body is not of a type read here";
    FORMAT = UNSUPPORTED_MEDIA_TYPE "unsupported-format" "The file is not a picture in a format read here";
    FIELD = UNPROCESSABLE_ENTITY "invalid-field" "A field of the form is not valid";
    BROKEN = UNPROCESSABLE_ENTITY "broken-image" "The picture is damaged or cut short";
    PICTURE_TOO_LARGE = UNPROCESSABLE_ENTITY "image-too-large" "The picture has more pixels or frames than are accepted";
    INTERNAL = INTERNAL_SERVER_ERROR "internal-error" "Something went wrong here";
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "The service cannot do this at the moment";
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The address stands for nothing, or no longer does.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// The body is not `multipart/form-data`.
    #[error("Send the form as multipart/form-data with a boundary.")]
    NotMultipart,
    /// The form breaks the multipart syntax, lacks a field, or has one twice or too many.
    #[error("{0}")]
    Form(String),
    /// A field's value is out of range.
    #[error("{field}: {reason}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is expected.
        reason: String,
    },
    /// The client fell silent within its request, or took far too long.
    #[error("The rest of the request did not arrive in time.")]
    Timeout,
    /// The file has more bytes than the limit.
    #[error("The file has more than {limit} bytes.")]
    UploadTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The file is refused for what it is.
    #[error(transparent)]
    Picture(HeaderError),
    /// Postgres, the bucket or staging is away or full. It may be back when the client asks again.
    #[error("The service is short of something it needs. Try again later.")]
    Unavailable(#[source] Cause),
    /// A mistake of ours.
    #[error("This is a fault of the service. It has been logged.")]
    Internal(#[source] Cause),
    /// A mistake of ours that unwound.
    #[error("This is a fault of the service. It has been logged.")]
    Panicked,
}

impl ApiError {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::NotFound(_) => &NOT_FOUND,
            Self::NotMultipart => &MEDIA_TYPE,
            Self::Form(_) => &FORM,
            Self::Field { .. } => &FIELD,
            Self::Timeout => &TIMEOUT,
            Self::UploadTooLarge { .. } => &TOO_LARGE,
            Self::Picture(HeaderError::Unsupported { .. }) => &FORMAT,
            Self::Picture(HeaderError::Truncated { .. } | HeaderError::Broken(_)) => &BROKEN,
            Self::Picture(HeaderError::TooLarge { .. }) => &PICTURE_TOO_LARGE,
            Self::Unavailable(_) => &UNAVAILABLE,
            Self::Internal(_) | Self::Panicked | Self::Picture(HeaderError::Io(_)) => &INTERNAL,
        }
    }

    /// The document for the client, with the members that its kind has.
    fn problem(&self) -> Problem {
        let problem = Problem::new(self.kind(), self.to_string());
        match self {
            Self::Field { field, .. } => Problem { field: Some((*field).to_owned()), ..problem },
            Self::UploadTooLarge { limit } => Problem { limit_bytes: Some(*limit), ..problem },
            Self::Picture(HeaderError::Unsupported { .. }) => {
                let formats = SourceFormat::ALL.iter().map(|&format| format.into()).collect();
                Problem { supported_formats: Some(formats), ..problem }
            }
            Self::Picture(HeaderError::TooLarge { limit, max, .. }) => {
                let max = Some(*max);
                match limit {
                    Limit::Width => Problem { max_width: max, ..problem },
                    Limit::Height => Problem { max_height: max, ..problem },
                    Limit::Pixels => Problem { max_pixels: max, ..problem },
                    Limit::Frames => Problem { max_frames: max, ..problem },
                    Limit::Scans => Problem { max_scans: max, ..problem },
                }
            }
            _ => problem,
        }
    }
}

impl From<ApiError> for poem::Error {
    /// Logs the cause, and carries the problem to where its document is written ([`crate::problem::document`]).
    fn from(error: ApiError) -> Self {
        let status = error.kind().status;
        if let Some(cause) = error.source() {
            tracing::error!(%status, "{}", error_chain(cause));
        }
        let mut answer = Self::from_status(status);
        answer.set_data(error.problem());
        answer
    }
}

impl From<HeaderError> for ApiError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Io(error) => Self::Unavailable(error.into()),
            error => Self::Picture(error),
        }
    }
}

impl From<StagingError> for ApiError {
    fn from(error: StagingError) -> Self {
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

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Sql(error) => error.into(),
            error => Self::Internal(error.into()),
        }
    }
}

/// The problems an operation documents, as status and description; for example
/// `const LIST: &[(u16, &str)] = &[(404, "There is no such image.")]`.
pub(crate) trait Problems: Send + Sync + 'static {
    const LIST: &'static [(u16, &'static str)];
}

/// An [`ApiError`] of an operation that documents the problems `P`.
pub(crate) struct Refusal<P>(ApiError, PhantomData<P>);

/// What an operation returns.
pub(crate) type Result<T, P> = std::result::Result<T, Refusal<P>>;

impl<P, E: Into<ApiError>> From<E> for Refusal<P> {
    fn from(error: E) -> Self {
        Self(error.into(), PhantomData)
    }
}

impl<P: Problems> From<Refusal<P>> for poem::Error {
    fn from(refusal: Refusal<P>) -> Self {
        refusal.0.into()
    }
}

impl<P: Problems> ApiResponse for Refusal<P> {
    fn meta() -> MetaResponses {
        const EVERYWHERE: &[(u16, &str)] = &[(500, "A fault of the service, which has been logged.")];
        let response = |&(status, description): &(u16, &'static str)| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: ProblemBody::media_types(),
            headers: Vec::new(),
        };
        MetaResponses { responses: P::LIST.iter().chain(EVERYWHERE).map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
