//! An API key, as its owner sees it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use uuid::Uuid;

use super::{InvalidName, Scopes};

/// The id of a key: a `UUIDv7` (RFC 9562, section 5.7), so ids sort by the time of creation. It is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Uuid);

impl KeyId {
    /// A new id for a key that is made now.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id that a client or the database gave. It need not belong to a key.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is stored of a key's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHash {
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// The beginning of the key, by which people recognise it; for example `dk_ab12cd`.
    pub prefix: String,
}

/// The name of a key, for people: 1 to 100 characters, without control characters and spaces around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// Maximum length, in characters.
    pub const MAX_CHARS: usize = 100;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if !(1..=Self::MAX_CHARS).contains(&text.chars().count()) || text.contains(char::is_control) {
            return Err(InvalidName("must have 1 to 100 characters and no control characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key without its secret, which nobody knows but the one to whom it was shown once.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whose images it gives access to.
    pub owner: Owner,
    /// For people; need not be unique.
    pub name: String,
    /// The beginning of the key.
    pub prefix: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when it is refused; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is refused; `None`: it was not revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, within a minute or two; `None`: never.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A row of the table.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) owner: i32,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) scopes: Vec<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
    pub(super) last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for Key {
    fn from(row: Row) -> Self {
        Self {
            id: KeyId::from_uuid(row.id),
            owner: Owner::from_id(row.owner),
            name: row.name,
            prefix: row.prefix,
            scopes: Scopes::from_column(&row.scopes),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_have_characters_that_can_be_seen() {
        assert_eq!("  deploy of the shop ".parse::<KeyName>().unwrap().as_str(), "deploy of the shop");
        for text in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(text.parse::<KeyName>().is_err(), "{text:?}");
        }
    }
}
