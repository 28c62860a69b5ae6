//! The responses of the operations on keys, and the problems that they document.

use poem_openapi::{ApiResponse, payload::Json};

use super::wire::{ApiKey, ApiKeyPage, ApiKeyWithSecret};
use crate::{
    http::problem,
    operation_error::{Documented, DocumentedProblems, INTERNAL, UNAVAILABLE},
};

#[derive(ApiResponse)]
pub(super) enum CreateKeyResponse {
    /// The key was made. This is the only response that has it.
    #[oai(status = 201, content_type = "application/json")]
    Created(
        Json<ApiKeyWithSecret>,
        /// The path of the key.
        #[oai(header = "Location")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum ListKeysResponse {
    /// A page of keys.
    #[oai(status = 200, content_type = "application/json")]
    Page(Json<ApiKeyPage>),
}

#[derive(ApiResponse)]
pub(super) enum KeyResponse {
    /// The key, without its secret.
    #[oai(status = 200, content_type = "application/json")]
    Key(Json<ApiKey>),
}

#[derive(ApiResponse)]
pub(super) enum RotateKeyResponse {
    /// The key has a new secret. This is the only response that has it.
    #[oai(status = 200, content_type = "application/json")]
    Rotated(Json<ApiKeyWithSecret>),
}

#[derive(ApiResponse)]
pub(super) enum RevokeKeyResponse {
    /// The key is revoked.
    #[oai(status = 204)]
    Revoked,
}

const NOT_FOUND: Documented = (&problem::NOT_FOUND, "The owner of the caller's key has no such key.");
const INVALID_JSON: Documented = (&problem::INVALID_JSON, "The body is not the JSON that is expected.");
const TIMEOUT: Documented = (&problem::REQUEST_TIMEOUT, "The rest of the request was not received in time.");
const NOT_JSON: Documented = (&problem::UNSUPPORTED_MEDIA_TYPE, "The body is not `application/json`.");
const INVALID_PARAMETER: Documented =
    (&problem::INVALID_PARAMETER, "A parameter is invalid; `parameter` has its name.");

pub(super) struct CreateKeyProblems;

impl DocumentedProblems for CreateKeyProblems {
    const LIST: &'static [Documented] = &[
        INVALID_JSON,
        TIMEOUT,
        NOT_JSON,
        (
            &problem::INVALID_FIELD,
            "A field is invalid, or the key would outlive the one that makes it; `field` has its name.",
        ),
        UNAVAILABLE,
        INTERNAL,
    ];
}

pub(super) struct ListKeysProblems;

impl DocumentedProblems for ListKeysProblems {
    const LIST: &'static [Documented] = &[INVALID_PARAMETER, UNAVAILABLE, INTERNAL];
}

pub(super) struct KeyProblems;

impl DocumentedProblems for KeyProblems {
    const LIST: &'static [Documented] = &[NOT_FOUND, UNAVAILABLE, INTERNAL];
}

pub(super) struct RenameKeyProblems;

impl DocumentedProblems for RenameKeyProblems {
    const LIST: &'static [Documented] = &[
        INVALID_JSON,
        NOT_FOUND,
        TIMEOUT,
        NOT_JSON,
        (&problem::INVALID_FIELD, "A field is invalid; `field` has its name."),
        UNAVAILABLE,
        INTERNAL,
    ];
}

pub(super) struct RotateKeyProblems;

impl DocumentedProblems for RotateKeyProblems {
    const LIST: &'static [Documented] =
        &[INVALID_PARAMETER, NOT_FOUND, (&problem::KEY_ENDED, "The key is revoked or expired."), UNAVAILABLE, INTERNAL];
}
