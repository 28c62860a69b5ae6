//! What authentication and the limits of callers add to the `OpenAPI` document.

use poem::http::Method;
use poem_openapi::{
    registry::{MetaHeader, MetaOperation, MetaResponse, Registry},
    types::Type as _,
};

use super::request_id_header;
use crate::{
    auth::scheme::bearer,
    http::problem::{self, ProblemType},
    operation_error::problem_response,
};

/// The only security scheme of Swagger UI's document, so that a key is entered once.
const ANY_SCOPE: &str = "key";

const TOO_MANY_REQUESTS: &str = "The client or its owner has used up a limit, which `violated-policies` names; `Retry-After` is absent where waiting does not \
     help. `GET /v1/limits` lists the limits.";

/// Adds the problems of authentication and of limits to an operation that has a security scheme.
pub(super) fn add_problems(operation: &mut MetaOperation) {
    let Some(scheme) = operation.security.iter().flat_map(|schemes| schemes.keys()).next().copied() else { return };
    let changes = operation.method != Method::GET;
    let problems = [
        (&problem::UNAUTHENTICATED, "The request has no API key, or one that is invalid, expired or revoked."),
        (&problem::MISSING_SCOPE, forbidden(scheme, changes)),
    ];
    let responses = &mut operation.responses.responses;
    for (problem_type, description) in problems {
        let status = Some(problem_type.status.as_u16());
        // An operation may describe them itself.
        match responses.iter_mut().find(|response| response.status == status) {
            Some(response) => response.headers.push(challenge(problem_type)),
            None => responses.push(MetaResponse {
                headers: vec![challenge(problem_type), request_id_header()],
                ..problem_response(problem_type, description)
            }),
        }
    }
    responses.push(MetaResponse {
        headers: vec![request_id_header()],
        ..problem_response(&problem::QUOTA_EXCEEDED, TOO_MANY_REQUESTS)
    });
}

fn challenge(problem_type: &ProblemType) -> MetaHeader {
    MetaHeader {
        name: "WWW-Authenticate".to_owned(),
        description: Some("How to authenticate (RFC 6750).".to_owned()),
        // Without it in the response to a page of another site.
        required: *problem_type == problem::UNAUTHENTICATED,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

/// When an operation with this scheme is forbidden. `changes`: pages of other sites may not use it.
fn forbidden(scheme: &str, changes: bool) -> &'static str {
    macro_rules! lacks {
        ($scope:literal) => {
            concat!("The API key lacks the scope `", $scope, "`.")
        };
        ($scope:literal or cross_site) => {
            concat!(
                "The API key lacks the scope `",
                $scope,
                "`, or the request comes from a page of another site that `ALLOWED_ORIGINS` does not list."
            )
        };
    }
    match (scheme, changes) {
        ("read", false) => lacks!("read"),
        ("read", true) => lacks!("read" or cross_site),
        ("write", false) => lacks!("write"),
        ("write", true) => lacks!("write" or cross_site),
        (_, false) => lacks!("admin"),
        (_, true) => lacks!("admin" or cross_site),
    }
}

/// Makes every operation with a security scheme one of [`ANY_SCOPE`].
pub(super) fn unite_schemes(operation: &mut MetaOperation) {
    for schemes in &mut operation.security {
        *schemes = [(ANY_SCOPE, Vec::new())].into();
    }
}

/// Replaces the security schemes by [`ANY_SCOPE`].
pub(super) fn register_united(registry: &mut Registry) {
    registry.security_schemes.clear();
    let description = "An API key. Each operation says which scope it needs; `admin` includes the other two.";
    registry.create_security_scheme(ANY_SCOPE, bearer(description));
}
