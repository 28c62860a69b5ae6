//! Keys in JSON, as clients see them.

use chrono::{DateTime, TimeDelta, Utc};
use darkroom_shared::access;
use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use uuid::{Uuid, uuid};

use super::scope::Scope;
use crate::auth::Token;

/// A key to be made.
#[derive(Clone, Debug, Object, Deserialize)]
#[oai(skip_serializing_if_is_none, deny_unknown_fields, example)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// For people: 1 to 100 characters without control characters. Need not be unique.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub(super) name: String,
    /// What the key allows.
    #[oai(validator(min_items = 1, max_items = 3))]
    pub(super) scopes: Vec<Scope>,
    /// From when the key is refused. Default: as the key that makes it, or never.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// What to change of a key.
#[derive(Clone, Debug, Object, Deserialize)]
#[oai(deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyPatch {
    /// The new name: 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub(super) name: String,
}

/// An API key, without the key itself.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct ApiKey {
    /// A `UUIDv7` (RFC 9562). It is no secret.
    id: Uuid,
    /// For people.
    name: String,
    /// The beginning of the key, by which people recognise it.
    prefix: String,
    /// What the key allows.
    scopes: Vec<Scope>,
    /// When the key was made.
    created_at: DateTime<Utc>,
    /// From when the key is refused. Absent: never.
    expires_at: Option<DateTime<Utc>>,
    /// Since when the key is refused. Absent: it was not revoked.
    revoked_at: Option<DateTime<Utc>>,
    /// When the key was last used, within two minutes. Absent: never.
    last_used_at: Option<DateTime<Utc>>,
}

/// An API key, with the key itself: it is shown only in this response.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct ApiKeyWithSecret {
    /// The key, for the header `Authorization: Bearer …`. Keep it: it cannot be shown again.
    key: String,
    #[oai(flatten)]
    api_key: ApiKey,
}

/// A page of keys, newest first.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct ApiKeyPage {
    /// The keys.
    pub(super) items: Vec<ApiKey>,
    /// The `cursor` of the next page. Absent on the last page.
    pub(super) next_cursor: Option<String>,
}

impl From<access::Key> for ApiKey {
    fn from(key: access::Key) -> Self {
        Self {
            id: key.id.as_uuid(),
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.iter().map(Scope::from).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}

impl ApiKeyWithSecret {
    pub(super) fn new(token: &Token, key: access::Key) -> Self {
        Self { key: token.expose().to_owned(), api_key: key.into() }
    }
}

impl Example for NewApiKey {
    fn example() -> Self {
        Self { name: "shop".to_owned(), scopes: vec![Scope::Read, Scope::Write], expires_at: None }
    }
}

impl Example for ApiKey {
    fn example() -> Self {
        Self {
            id: uuid!("01890a5d-ac96-774b-bcce-b302099a8057"),
            name: "shop".to_owned(),
            prefix: "dk_4CwfMT".to_owned(),
            scopes: vec![Scope::Read, Scope::Write],
            created_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }
}

impl Example for ApiKeyWithSecret {
    fn example() -> Self {
        // No key: secret scanners would find it.
        Self { key: "dk_4CwfMT…".to_owned(), api_key: ApiKey::example() }
    }
}
