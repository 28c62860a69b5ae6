//! The audit log: administrative actions, with their actor, time and client address.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use darkroom_model::{Owner, string_enum};
use sqlx::PgConnection;
use uuid::Uuid;

use super::KeyId;

string_enum! {
    /// What was done.
    Action, "action" {
        /// An owner was made.
        OwnerCreated = "owner.created",
        /// A key was made.
        KeyCreated = "key.created",
        /// A key got another name.
        KeyRenamed = "key.renamed",
        /// A key got a new secret.
        KeyRotated = "key.rotated",
        /// A key was revoked.
        KeyRevoked = "key.revoked",
    }
}

string_enum! {
    /// The kind of an actor.
    ActorKind, "actor" {
        /// Who sent a request with a key.
        Key = "key",
        /// Who ran `darkroom-api` with the database's password.
        Operator = "operator",
        /// Who sent a request while none needed a key.
        Anonymous = "anonymous",
    }
}

/// Who does something administrative, and from where.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The key of the request; `None`: an operator, or a request without a key.
    pub key: Option<KeyId>,
    /// The address of the client, as the api sees it; `None`: unknown.
    pub address: Option<IpAddr>,
    /// The id of the request; `None`: it was a command.
    pub request_id: Option<String>,
}

impl Actor {
    /// Who runs a command with the database's password.
    pub const OPERATOR: Self = Self { key: None, address: None, request_id: None };

    fn kind(&self) -> ActorKind {
        match (self.key, &self.request_id) {
            (Some(_), _) => ActorKind::Key,
            (None, Some(_)) => ActorKind::Anonymous,
            (None, None) => ActorKind::Operator,
        }
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Sorts by time.
    pub id: Uuid,
    /// Whose things were changed.
    pub owner: Owner,
    /// When.
    pub at: DateTime<Utc>,
    /// What was done, as in [`Action`]; or an action that only a newer version knows.
    pub action: String,
    /// The kind of who did it, as in [`ActorKind`].
    pub actor: String,
    /// The key with which it was done.
    pub actor_key: Option<KeyId>,
    /// The key that was changed.
    pub subject: Option<KeyId>,
    /// The change, for people.
    pub detail: String,
    /// The address of the client.
    pub address: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
}

/// Adds an entry. `subject`: the key that was changed.
pub(super) async fn record(
    db: &mut PgConnection,
    actor: &Actor,
    owner: Owner,
    action: Action,
    subject: Option<KeyId>,
    detail: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO audit (id, owner, action, actor, actor_key, subject, detail, address, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        Uuid::now_v7(),
        owner.id(),
        action.as_str(),
        actor.kind().as_str(),
        actor.key.map(KeyId::as_uuid),
        subject.map(KeyId::as_uuid),
        detail,
        actor.address.map(|address| address.to_string()),
        actor.request_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The entries of an owner, newest first, at most `limit`. `before`: the last entry of the page before.
pub async fn list_audit(
    db: &mut PgConnection,
    owner: Owner,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AuditEntry>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, owner, at, action, actor, actor_key, subject, detail, address, request_id
         FROM audit WHERE owner = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        owner.id(),
        before.unwrap_or(Uuid::max()),
        limit,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(AuditEntry::from).collect())
}

/// The entries of all owners, newest first, at most `limit`.
pub async fn list_all_audit(db: &mut PgConnection, limit: i64) -> Result<Vec<AuditEntry>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, owner, at, action, actor, actor_key, subject, detail, address, request_id
         FROM audit ORDER BY id DESC LIMIT $1",
        limit,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(AuditEntry::from).collect())
}

/// Removes entries older than `age`, oldest first, at most `limit`. Returns how many were removed.
pub async fn prune_audit(db: &mut PgConnection, age: Duration, limit: i64) -> Result<u64, sqlx::Error> {
    // An id begins with its time in milliseconds, so this reads what it removes and nothing else.
    let done = sqlx::query!(
        "DELETE FROM audit WHERE id IN (
             SELECT id FROM audit WHERE id < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)",
        first_id(Utc::now() - age),
        limit,
    );
    Ok(done.execute(db).await?.rows_affected())
}

/// The smallest `UUIDv7` of this time (RFC 9562, section 5.7).
fn first_id(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

struct Row {
    id: Uuid,
    owner: i32,
    at: DateTime<Utc>,
    action: String,
    actor: String,
    actor_key: Option<Uuid>,
    subject: Option<Uuid>,
    detail: String,
    address: Option<String>,
    request_id: Option<String>,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            owner: Owner::from_id(row.owner),
            at: row.at,
            action: row.action,
            actor: row.actor,
            actor_key: row.actor_key.map(KeyId::from_uuid),
            subject: row.subject.map(KeyId::from_uuid),
            detail: row.detail,
            address: row.address,
            request_id: row.request_id,
        }
    }
}
