//! Who may: every SQL statement about owners, their API keys and the audit log, checked against the schema at compile time.
//!
//! Functions take a connection, so that the caller decides what is one transaction. Those that change something also take the
//! [`Actor`], and write its entry of the audit log: nothing administrative happens without one.
//!
//! | file | what it holds |
//! |---|---|
//! | `owner.rs` | owners |
//! | `scope.rs` | what a key allows |
//! | `key.rs` | a key, as its owner sees it |
//! | `administer.rs` | making, listing and changing keys |
//! | `authenticate.rs` | from a key's hash to its rights, and when keys were used |
//! | `upload_token.rs` | short-lived keys that only upload |
//! | `audit.rs` | who did what, when and from where |

mod administer;
mod audit;
mod authenticate;
mod key;
mod owner;
mod scope;
mod upload_token;

pub use administer::{
    KeyChange, NewKey, create_key, get_key, list_all_keys, list_keys, rename_key, revoke_key, rotate_key,
};
pub use audit::{Action, Actor, ActorKind, AuditEntry, list_all_audit, list_audit, prune_audit};
pub use authenticate::{Credential, Found, KeyUse, any_key_exists, find_credential, record_uses};
pub use key::{Key, KeyId, KeyName, SecretHash};
pub use owner::{OwnerName, OwnerRow, create_owner, find_owner, list_owners};
pub use scope::{Scope, Scopes};
pub use upload_token::{NewUploadToken, UploadGrant, create_upload_token, prune_upload_tokens, take_upload_token};

/// A name that cannot be given to a key or an owner. `Display` says what is expected, without a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);
