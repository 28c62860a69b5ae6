//! Making, listing and changing keys. Each change writes its entry of the audit log.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use darkroom_model::Owner;
use sqlx::{PgConnection, postgres::types::PgInterval};
use uuid::Uuid;

use super::{Action, Actor, Key, KeyId, KeyName, Scopes, SecretHash, audit::record, key::Row};

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// For people.
    pub name: KeyName,
    /// What it allows; not empty.
    pub scopes: Scopes,
    /// From when it is refused; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What became of a key that was to be changed.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// It was changed.
    Done(Key),
    /// It is revoked or expired, and nothing was changed.
    Ended,
    /// This owner has no such key.
    NotFound,
}

/// Makes a key.
pub async fn create_key(
    db: &mut PgConnection,
    actor: &Actor,
    owner: Owner,
    new: &NewKey,
    secret: &SecretHash,
) -> Result<Key, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "INSERT INTO api_keys (id, owner, name, digest, prefix, scopes, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at",
        KeyId::now().as_uuid(),
        owner.id(),
        new.name.as_str(),
        &secret.digest,
        secret.prefix,
        &new.scopes.to_column(),
        new.expires_at,
    );
    let key = Key::from(row.fetch_one(&mut *db).await?);
    let expiry = key.expires_at.map_or_else(String::new, |time| format!(", expires {}", seconds(time)));
    let detail = format!("{} \"{}\": {}{expiry}", key.prefix, key.name, key.scopes);
    record(db, actor, owner, Action::KeyCreated, Some(key.id), &detail).await?;
    Ok(key)
}

/// A key of this owner.
pub async fn get_key(db: &mut PgConnection, owner: Owner, id: KeyId) -> Result<Option<Key>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at
         FROM api_keys WHERE owner = $1 AND id = $2 AND kind = 'key'",
        owner.id(),
        id.as_uuid(),
    );
    Ok(row.fetch_optional(db).await?.map(Key::from))
}

/// The keys of this owner, newest first, at most `limit`; revoked and expired ones too. `before`: the last key of the page
/// before.
pub async fn list_keys(
    db: &mut PgConnection,
    owner: Owner,
    before: Option<KeyId>,
    limit: i64,
) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at
         FROM api_keys WHERE owner = $1 AND id < $2 AND kind = 'key' ORDER BY id DESC LIMIT $3",
        owner.id(),
        before.map_or(Uuid::max(), KeyId::as_uuid),
        limit,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Key::from).collect())
}

/// The keys of all owners, oldest first; revoked and expired ones too. `id_or_prefix`: only the one with this id, or those
/// with this prefix.
pub async fn list_all_keys(db: &mut PgConnection, id_or_prefix: Option<&str>) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at
         FROM api_keys WHERE kind = 'key' AND ($1::text IS NULL OR id::text = lower($1) OR prefix = $1) ORDER BY id",
        id_or_prefix,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Key::from).collect())
}

/// Gives a key another name. `None`: this owner has no such key.
pub async fn rename_key(
    db: &mut PgConnection,
    actor: &Actor,
    owner: Owner,
    id: KeyId,
    name: &KeyName,
) -> Result<Option<Key>, sqlx::Error> {
    let Some(before) = lock_key(db, owner, id).await? else { return Ok(None) };
    sqlx::query!("UPDATE api_keys SET name = $3 WHERE owner = $1 AND id = $2", owner.id(), id.as_uuid(), name.as_str())
        .execute(&mut *db)
        .await?;
    let detail = format!("{} \"{}\" to \"{name}\"", before.prefix, before.name);
    record(db, actor, owner, Action::KeyRenamed, Some(id), &detail).await?;
    Ok(Some(Key { name: name.as_str().to_owned(), ..before }))
}

/// Gives a key a new secret. The one before works for `overlap` longer, and one before that no more. All else stays.
pub async fn rotate_key(
    db: &mut PgConnection,
    actor: &Actor,
    owner: Owner,
    id: KeyId,
    secret: &SecretHash,
    overlap: Duration,
) -> Result<KeyChange, sqlx::Error> {
    let Some(before) = lock_key(db, owner, id).await? else { return Ok(KeyChange::NotFound) };
    let rotated = sqlx::query_as!(
        Row,
        "UPDATE api_keys SET digest = $3, prefix = $4, previous_digest = digest, previous_until = now() + $5
         WHERE owner = $1 AND id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
         RETURNING id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at",
        owner.id(),
        id.as_uuid(),
        &secret.digest,
        secret.prefix,
        PgInterval { months: 0, days: 0, microseconds: i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX) },
    );
    let Some(row) = rotated.fetch_optional(&mut *db).await? else { return Ok(KeyChange::Ended) };
    let key = Key::from(row);
    let detail = format!("{} \"{}\" is now {}; overlap {} s", before.prefix, key.name, key.prefix, overlap.as_secs());
    record(db, actor, owner, Action::KeyRotated, Some(id), &detail).await?;
    Ok(KeyChange::Done(key))
}

/// Ends a key or an upload token for ever, with the secret before its last rotation and the upload tokens that it has made.
/// [`KeyChange::Ended`]: it is revoked already.
pub async fn revoke_key(
    db: &mut PgConnection,
    actor: &Actor,
    owner: Owner,
    id: KeyId,
) -> Result<KeyChange, sqlx::Error> {
    let revoked = sqlx::query_as!(
        Row,
        "UPDATE api_keys SET revoked_at = now() WHERE owner = $1 AND id = $2 AND revoked_at IS NULL
         RETURNING id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at",
        owner.id(),
        id.as_uuid(),
    );
    let Some(row) = revoked.fetch_optional(&mut *db).await? else {
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM api_keys WHERE owner = $1 AND id = $2) AS "exists!""#,
            owner.id(),
            id.as_uuid()
        );
        return Ok(if exists.fetch_one(db).await? { KeyChange::Ended } else { KeyChange::NotFound });
    };
    let key = Key::from(row);
    let detail = format!("{} \"{}\"", key.prefix, key.name);
    record(db, actor, owner, Action::KeyRevoked, Some(id), &detail).await?;
    Ok(KeyChange::Done(key))
}

/// A key of this owner, locked until the transaction ends.
async fn lock_key(db: &mut PgConnection, owner: Owner, id: KeyId) -> Result<Option<Key>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, owner, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at
         FROM api_keys WHERE owner = $1 AND id = $2 AND kind = 'key' FOR NO KEY UPDATE",
        owner.id(),
        id.as_uuid(),
    );
    Ok(row.fetch_optional(db).await?.map(Key::from))
}

fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
