//! The errors of one operation, with the problems that its documentation lists.

use std::marker::PhantomData;

use poem_openapi::{
    ApiResponse, ResponseContent as _,
    registry::{MetaResponse, MetaResponses, Registry},
};

use crate::{
    error::ApiError,
    http::problem::{ProblemPayload, ProblemType},
};

/// The problems that an operation documents. Problems of the same status share one entry.
pub(crate) trait DocumentedProblems: Send + Sync + 'static {
    /// Problem types, which have the status codes, and descriptions.
    const LIST: &'static [(&'static ProblemType, &'static str)];
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
        let response = |&(problem_type, description): &(&'static ProblemType, &'static str)| MetaResponse {
            description,
            status: Some(problem_type.status.as_u16()),
            status_range: None,
            content: ProblemPayload::media_types(),
            headers: Vec::new(),
        };
        MetaResponses { responses: P::LIST.iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemPayload::register(registry);
    }
}
