//! The errors of one operation, with the problems that its documentation lists.

use std::marker::PhantomData;

use poem_openapi::{
    ApiResponse, ResponseContent as _,
    registry::{MetaResponse, MetaResponses, Registry},
};

use crate::{
    error::ApiError,
    http::problem::{self, ProblemPayload, ProblemType},
};

/// A problem type, which has the status code, and when it occurs.
pub(crate) type Documented = (&'static ProblemType, &'static str);

pub(crate) const INTERNAL: Documented = (&problem::INTERNAL_ERROR, "An internal error, which has been logged.");
pub(crate) const UNAVAILABLE: Documented = (
    &problem::UNAVAILABLE,
    "The service is temporarily unavailable, or has too much to do. Try again after `Retry-After` seconds.",
);

/// The problems that an operation documents. Problems of the same status share one entry. Those of authentication are added to
/// every operation that has a security scheme (`spec/security.rs`).
pub(crate) trait DocumentedProblems: Send + Sync + 'static {
    /// In the order of the document.
    const LIST: &'static [Documented];
}

/// An [`ApiError`] of an operation that documents the problems `P`.
pub(crate) struct OperationError<P>(ApiError, PhantomData<P>);

/// The result of an operation that documents the problems `P`.
pub(crate) type Result<T, P> = std::result::Result<T, OperationError<P>>;

impl<P, E: Into<ApiError>> From<E> for OperationError<P> {
    fn from(error: E) -> Self {
        Self(error.into(), PhantomData)
    }
}

impl<P: DocumentedProblems> From<OperationError<P>> for poem::Error {
    fn from(error: OperationError<P>) -> Self {
        error.0.into()
    }
}

impl<P: DocumentedProblems> ApiResponse for OperationError<P> {
    fn meta() -> MetaResponses {
        let response = |&(problem_type, description): &Documented| problem_response(problem_type, description);
        MetaResponses { responses: P::LIST.iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemPayload::register(registry);
    }
}

/// A documented response with a problem document.
pub(crate) fn problem_response(problem_type: &ProblemType, description: &'static str) -> MetaResponse {
    MetaResponse {
        description,
        status: Some(problem_type.status.as_u16()),
        status_range: None,
        content: ProblemPayload::media_types(),
        headers: Vec::new(),
    }
}
