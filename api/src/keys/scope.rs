//! Scopes in JSON.

use darkroom_shared::access;
use poem_openapi::Enum;
use serde::Deserialize;

/// What a key allows. Each operation names the scope that it needs; `admin` includes the other two, and `write` does not include
/// `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// List images, get them and their renditions.
    Read,
    /// Upload and delete images.
    Write,
    /// Administer the owner's keys and read its audit log.
    Admin,
}

impl From<access::Scope> for Scope {
    fn from(scope: access::Scope) -> Self {
        match scope {
            access::Scope::Read => Self::Read,
            access::Scope::Write => Self::Write,
            access::Scope::Admin => Self::Admin,
        }
    }
}

impl From<Scope> for access::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Admin => Self::Admin,
        }
    }
}
