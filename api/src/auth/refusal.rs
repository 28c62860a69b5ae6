//! Why a request is not authenticated.

/// Why a request is not authenticated. `Display` is the detail for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no `Authorization` header.
    #[error("The request needs an API key in the header Authorization: Bearer dk_….")]
    NoKey,
    /// No key exists yet, and the request does not come from this machine.
    #[error("There is no API key yet, and until then only requests of this machine to a loopback address are served.")]
    NotLocal,
    /// The `Authorization` header has another form.
    #[error("The header Authorization must be \"Bearer\", a space and an API key.")]
    NotBearer,
    /// The key has another form, or its checksum is wrong.
    #[error("This is not an API key: it is mistyped or incomplete.")]
    Mistyped,
    /// The key is not in the database.
    #[error("There is no such API key.")]
    Unknown,
    /// The key has expired, a rotation has replaced it, or it has no uses left.
    #[error("The API key has expired, was replaced by a rotation, or has no uses left.")]
    Expired,
    /// The key was revoked.
    #[error("The API key was revoked.")]
    Revoked,
}
