//! What the periodic jobs ask: which images an outage has failed, and which objects and staged files are orphans.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use darkroom_model::{ImageId, Status};

use super::{CatalogError, columns::string_enum};

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

/// The status of an image, locked until the transaction ends, so that no attempt begins or ends in the meantime.
/// `None`: there is no such image.
pub async fn lock_status(db: &mut PgConnection, id: ImageId) -> Result<Option<Status>, CatalogError> {
    let status = sqlx::query_scalar!("SELECT status FROM images WHERE id = $1 FOR UPDATE", id.as_uuid());
    status.fetch_optional(db).await?.as_deref().map(string_enum).transpose()
}
