//! What the periodic jobs ask: which images an outage has failed, and which objects and staged files are orphans.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use darkroom_model::{ImageId, Rendition, Status};

use super::{
    CatalogError,
    columns::{from_bigint, from_integer, sha256, string_enum},
};

/// The time by the database's clock, which all replicas share.
pub async fn now(db: &mut PgConnection) -> Result<DateTime<Utc>, CatalogError> {
    Ok(sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(db).await?)
}

/// Images accepted after `since` that failed because the bucket or the database could not be reached, oldest first, at
/// most `limit`.
pub async fn list_failed_unavailable(
    db: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ImageId>, CatalogError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM images WHERE status = 'failed' AND failure_code = 'unavailable' AND created_at > $1
         ORDER BY id LIMIT $2",
        since,
        limit,
    );
    Ok(ids.fetch_all(db).await?.into_iter().map(ImageId::from_uuid).collect())
}

/// Those of `ids` that still need their staged file, because they are `queued` or `processing`.
pub async fn unfinished(db: &mut PgConnection, ids: &[ImageId]) -> Result<Vec<ImageId>, CatalogError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let unfinished =
        sqlx::query_scalar!("SELECT id FROM images WHERE id = ANY($1) AND status IN ('queued', 'processing')", &ids);
    Ok(unfinished.fetch_all(db).await?.into_iter().map(ImageId::from_uuid).collect())
}

/// The status of each of these images that exists.
pub async fn statuses(db: &mut PgConnection, ids: &[ImageId]) -> Result<HashMap<ImageId, Status>, CatalogError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!("SELECT id, status FROM images WHERE id = ANY($1)", &ids).fetch_all(db).await?;
    rows.into_iter().map(|row| Ok((ImageId::from_uuid(row.id), string_enum(&row.status)?))).collect()
}

/// The status of each of these images that exists, locked until the transaction ends, so that no attempt begins or ends
/// in the meantime.
pub async fn lock_statuses(db: &mut PgConnection, ids: &[ImageId]) -> Result<HashMap<ImageId, Status>, CatalogError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let locked = sqlx::query!("SELECT id, status FROM images WHERE id = ANY($1) ORDER BY id FOR UPDATE", &ids);
    let rows = locked.fetch_all(db).await?;
    rows.into_iter().map(|row| Ok((ImageId::from_uuid(row.id), string_enum(&row.status)?))).collect()
}

/// The renditions of these images.
pub async fn renditions_of_all(
    db: &mut PgConnection,
    ids: &[ImageId],
) -> Result<Vec<(ImageId, Rendition)>, CatalogError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        "SELECT image_id, name, format, width, height, bytes, sha256 FROM renditions WHERE image_id = ANY($1)",
        &ids
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let rendition = Rendition {
                name: row.name,
                format: string_enum(&row.format)?,
                width: from_integer(row.width)?,
                height: from_integer(row.height)?,
                bytes: from_bigint(row.bytes)?,
                sha256: sha256(row.sha256)?,
            };
            Ok((ImageId::from_uuid(row.image_id), rendition))
        })
        .collect()
}
