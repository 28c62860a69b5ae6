//! Upload tokens: short-lived keys that only upload, within limits, for browsers and apps.

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use sqlx::PgConnection;

use super::{KeyId, SecretHash};

/// What an upload token allows. `None` in a field: no limit of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadGrant {
    /// Maximum size of a file in bytes.
    pub max_bytes: Option<u64>,
    /// The form fields that an upload may have besides the file.
    pub fields: Option<Vec<String>>,
    /// The origin of the page that may use it, as in the header `Origin`.
    pub origin: Option<String>,
}

/// An upload token to be made.
#[derive(Clone, Debug)]
pub struct NewUploadToken {
    /// How many uploads it allows; at least 1.
    pub uses: u32,
    /// From when it is refused. An upload that has begun before is finished.
    pub expires_at: DateTime<Utc>,
    /// What it allows.
    pub grant: UploadGrant,
    /// The key that makes it; when that is revoked, so is the token.
    pub made_by: Option<KeyId>,
}

/// Makes an upload token. Not recorded in the audit log: it is part of uploading.
pub async fn create_upload_token(
    db: &mut PgConnection,
    owner: Owner,
    new: &NewUploadToken,
    secret: &SecretHash,
) -> Result<KeyId, sqlx::Error> {
    let id = KeyId::now();
    sqlx::query!(
        "INSERT INTO api_keys (id, owner, kind, name, digest, prefix, scopes, expires_at, made_by, uses_left, max_bytes,
                               fields, origin)
         VALUES ($1, $2, 'upload', 'upload token', $3, $4, '{}', $5, $6, $7, $8, $9, $10)",
        id.as_uuid(),
        owner.id(),
        &secret.digest,
        secret.prefix,
        new.expires_at,
        new.made_by.map(KeyId::as_uuid),
        i32::try_from(new.uses).unwrap_or(i32::MAX),
        new.grant.max_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        new.grant.fields.as_deref(),
        new.grant.origin,
    )
    .execute(db)
    .await?;
    Ok(id)
}

/// Takes one use of an upload token, in the transaction of the upload. `false`: it has none left, or was revoked.
pub async fn take_upload_token(db: &mut PgConnection, id: KeyId) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "UPDATE api_keys SET uses_left = uses_left - 1 WHERE id = $1 AND uses_left > 0 AND revoked_at IS NULL",
        id.as_uuid()
    );
    Ok(taken.execute(db).await?.rows_affected() == 1)
}

/// Removes upload tokens that ended more than a day ago, at most `limit`. Returns how many were removed.
pub async fn prune_upload_tokens(db: &mut PgConnection, limit: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM api_keys WHERE id IN (
             SELECT id FROM api_keys WHERE kind = 'upload' AND expires_at < now() - interval '1 day'
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit
    );
    Ok(done.execute(db).await?.rows_affected())
}
