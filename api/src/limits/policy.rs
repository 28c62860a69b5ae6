//! The names of limits, in headers, problem documents and `GET /v1/limits`, and the refusal of a request that exceeds one.

use std::time::Duration;

/// Requests of a client.
pub(crate) const REQUESTS: &str = "requests";
/// Requests with an invalid key of an address.
pub(crate) const FAILED_AUTHENTICATIONS: &str = "failed-authentications";
/// Bytes of an owner's uploads.
pub(crate) const BYTES: &str = "bytes";
/// Images of an owner that are queued or processing.
pub(crate) const PENDING_IMAGES: &str = "pending-images";
/// Images of an owner.
pub(crate) const STORED_IMAGES: &str = "stored-images";
/// Bytes of an owner's files and renditions.
pub(crate) const STORED_BYTES: &str = "stored-bytes";
/// Renditions of an image.
pub(crate) const RENDITIONS: &str = "renditions";
/// Seconds for which an image of the owner waits for its first attempt.
pub(crate) const QUEUE_AGE: &str = "queue-age";

/// A request that exceeds a limit of its client or owner. `Display` is the detail for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct QuotaExceeded {
    /// The name of the limit.
    pub policy: &'static str,
    /// When the same request may succeed; `None`: not by waiting.
    pub retry_after: Option<Duration>,
    /// Which limit, in a sentence.
    pub detail: String,
}
