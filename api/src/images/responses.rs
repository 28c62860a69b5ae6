//! The responses of the operations on images, and the problems that they document.

use darkroom_shared::idempotency::Answer;
use poem::http::StatusCode;
use poem_openapi::{ApiResponse, payload::Json};

use super::{
    dry_run::DryRun,
    wire::{Image, ImageDetail, Page},
};
use crate::{
    http::problem,
    idempotency::RepeatableJson,
    operation_error::{Documented, DocumentedProblems, INTERNAL, UNAVAILABLE},
};

#[derive(ApiResponse)]
pub(super) enum UploadResponse {
    /// The upload is accepted and durable. It will be rendered.
    #[oai(status = 202, content_type = "application/json")]
    Accepted(
        RepeatableJson<Image>,
        /// The path of the image.
        #[oai(header = "Location")]
        String,
        /// `true`: this is the response to an earlier request with the same `Idempotency-Key`. The image may have changed since, or
        /// have been deleted.
        #[oai(header = "Idempotent-Replayed")]
        Option<bool>,
    ),
    /// A dry run (200): what the upload would become. Nothing was stored.
    // A range, because client generators take the lowest status for the one of success.
    #[oai(status_range = "2XX", content_type = "application/json")]
    DryRun(StatusCode, Json<DryRun>),
}

impl UploadResponse {
    /// The response to an earlier request.
    pub(super) fn again(answer: Answer) -> Self {
        Self::Accepted(RepeatableJson::again(answer.body), answer.location, Some(true))
    }
}

#[derive(ApiResponse)]
pub(super) enum ListResponse {
    /// A page of images.
    #[oai(status = 200, content_type = "application/json")]
    Page(
        Json<Page>,
        /// The next page, if there is one: `<…>; rel="next"`.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
#[expect(clippy::large_enum_variant, reason = "a response is made and moved once")]
pub(super) enum ImageResponse {
    /// The image.
    #[oai(status = 200, content_type = "application/json")]
    Image(
        Json<ImageDetail>,
        /// Seconds to wait before the next request, while the image is queued or processing.
        #[oai(header = "Retry-After")]
        Option<u64>,
        /// The version of the image, for `If-None-Match` and `If-Match`.
        #[oai(header = "ETag")]
        String,
    ),
    /// The client has this version of the image, and its URLs still work.
    #[oai(status = 304)]
    NotModified(
        /// Seconds to wait before the next request, while the image is queued or processing.
        #[oai(header = "Retry-After")]
        Option<u64>,
        /// The version of the image.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum PatchResponse {
    /// The image, with the changes.
    #[oai(status = 200, content_type = "application/json")]
    Image(
        Json<Image>,
        /// The version of the image, for `If-None-Match` and `If-Match`.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum RenditionResponse {
    /// Redirects to the file.
    #[oai(status = 307)]
    Redirect(
        /// The URL of the file in the bucket.
        #[oai(header = "Location")]
        String,
        /// How long this response may be cached.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum DeleteResponse {
    /// The image is deleted for clients; a job will delete its files.
    #[oai(status = 202)]
    Accepted,
}

pub(super) struct UploadProblems;

impl DocumentedProblems for UploadProblems {
    const LIST: &'static [Documented] = &[
        (
            &problem::INVALID_FORM,
            "The form is malformed or incomplete, or has an unknown or repeated field; or `Idempotency-Key` is malformed.",
        ),
        (
            &problem::IDEMPOTENCY_KEY_IN_USE,
            "A request with the same `Idempotency-Key` is being handled. Try again after `Retry-After` seconds.",
        ),
        (
            &problem::UPLOAD_TOKEN,
            "The API key lacks the scope `write`, the upload token does not allow this upload, or the request comes from a page of \
             another site that `ALLOWED_ORIGINS` does not list.",
        ),
        (&problem::REQUEST_TIMEOUT, "The rest of the upload was not received in time."),
        (
            &problem::UPLOAD_TOO_LARGE,
            "The file is larger than allowed, by the service or the upload token; `limit_bytes` has the limit.",
        ),
        (
            &problem::UNSUPPORTED_FORMAT,
            "The body is not a form, or the file is not in a supported format; `supported_formats` lists them.",
        ),
        (
            &problem::INVALID_FIELD,
            "A field is invalid, the overlay is not a ready image, the image is damaged or has more pixels, frames or renditions \
             than allowed, or another upload has had the same `Idempotency-Key`.",
        ),
        UNAVAILABLE,
        (&problem::INSUFFICIENT_STORAGE, "The disk of staging is full. Try again later."),
        INTERNAL,
    ];
}

pub(super) struct ListProblems;

impl DocumentedProblems for ListProblems {
    const LIST: &'static [Documented] = &[
        (&problem::INVALID_PARAMETER, "A parameter is invalid; `parameter` has its name."),
        (
            &problem::SEARCH_TIMEOUT,
            "The search took too long, or the service is temporarily unavailable. Try again later, or search for a longer \
                 or a rarer part of the title.",
        ),
        INTERNAL,
    ];
}

pub(super) struct ImageProblems;

impl DocumentedProblems for ImageProblems {
    const LIST: &'static [Documented] =
        &[(&problem::NOT_FOUND, "The image does not exist, or no longer."), UNAVAILABLE, INTERNAL];
}

pub(super) struct PatchProblems;

impl DocumentedProblems for PatchProblems {
    const LIST: &'static [Documented] = &[
        (&problem::INVALID_JSON, "The body is not a JSON object, or has a member that cannot be changed."),
        (&problem::NOT_FOUND, "The image does not exist, or no longer."),
        (&problem::REQUEST_TIMEOUT, "The body was not received in time."),
        (&problem::PRECONDITION_FAILED, "The image has no version that `If-Match` names."),
        (&problem::UNSUPPORTED_MEDIA_TYPE, "The body is neither a JSON Merge Patch nor JSON."),
        (&problem::INVALID_FIELD, "A member is invalid; `field` has its name."),
        UNAVAILABLE,
        INTERNAL,
    ];
}

pub(super) struct DeleteProblems;

impl DocumentedProblems for DeleteProblems {
    const LIST: &'static [Documented] = &[
        (&problem::NOT_FOUND, "The image does not exist, or no longer."),
        (&problem::PRECONDITION_FAILED, "The image has no version that `If-Match` names."),
        UNAVAILABLE,
        INTERNAL,
    ];
}

pub(super) struct RenditionProblems;

impl DocumentedProblems for RenditionProblems {
    const LIST: &'static [Documented] =
        &[(&problem::NOT_FOUND, "The image or the rendition does not exist, or no longer."), UNAVAILABLE, INTERNAL];
}
