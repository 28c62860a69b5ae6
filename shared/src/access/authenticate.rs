//! From a key's hash to its rights, and when keys were used.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{KeyId, Scopes, UploadGrant};

/// The rights of a key that may be used now.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The key.
    pub key: KeyId,
    /// Whose images it gives access to.
    pub owner: Owner,
    /// The beginning of the key, for logs.
    pub prefix: String,
    /// What it allows.
    pub scopes: Scopes,
    /// From when it is refused; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it allows as an upload token, beside its scopes, which are none; `None`: it is a key.
    pub upload: Option<Arc<UploadGrant>>,
}

/// What is known of a key's hash.
#[derive(Clone, Debug)]
pub enum Found {
    /// A key that may be used.
    Valid(Credential),
    /// A key that has expired, that was replaced by a rotation, or that has no uses left.
    Expired,
    /// A key that was revoked.
    Revoked,
    /// No key.
    Unknown,
}

/// A use of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyUse {
    /// The key.
    pub key: KeyId,
    /// When it was last used.
    pub at: DateTime<Utc>,
}

/// Whether any key was ever made, revoked and expired ones included, upload tokens not.
pub async fn any_key_exists(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM api_keys WHERE kind = 'key') AS "exists!""#).fetch_one(db).await
}

/// Looks up a key by its SHA-256. By the database's clock, which all processes share.
pub async fn find_credential(db: &mut PgConnection, digest: &[u8; 32]) -> Result<Found, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT id, owner, prefix, scopes, expires_at, uses_left, max_bytes, fields, origin,
                  revoked_at IS NOT NULL OR EXISTS (
                      SELECT FROM api_keys AS maker WHERE maker.id = api_keys.made_by AND maker.revoked_at IS NOT NULL
                  ) AS "is_revoked!",
                  coalesce(expires_at <= now() OR uses_left = 0, false)
                      OR digest <> $1 AND previous_until <= now() AS "is_expired!"
           FROM api_keys WHERE digest = $1 OR previous_digest = $1"#,
        digest,
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(Found::Unknown) };
    Ok(match (row.is_revoked, row.is_expired) {
        (true, _) => Found::Revoked,
        (false, true) => Found::Expired,
        (false, false) => Found::Valid(Credential {
            key: KeyId::from_uuid(row.id),
            owner: Owner::from_id(row.owner),
            prefix: row.prefix,
            scopes: Scopes::from_column(&row.scopes),
            expires_at: row.expires_at,
            upload: row.uses_left.map(|_| {
                let max_bytes = row.max_bytes.and_then(|bytes| bytes.try_into().ok());
                Arc::new(UploadGrant { max_bytes, fields: row.fields, origin: row.origin })
            }),
        }),
    })
}

/// Records when keys were last used, each at most once a minute, however many processes see it used.
pub async fn record_uses(db: &mut PgConnection, uses: &[KeyUse]) -> Result<(), sqlx::Error> {
    let (keys, times): (Vec<Uuid>, Vec<DateTime<Utc>>) = uses.iter().map(|used| (used.key.as_uuid(), used.at)).unzip();
    // Rows that another process writes at the same time are left to it.
    sqlx::query!(
        "UPDATE api_keys SET last_used_at = used.at FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at)
         WHERE api_keys.id = used.id AND api_keys.id IN (
             SELECT id FROM api_keys
             WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
             FOR NO KEY UPDATE SKIP LOCKED)",
        &keys,
        &times,
    )
    .execute(db)
    .await?;
    Ok(())
}
