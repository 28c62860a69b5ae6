//! What the worker asks beside the lifecycle: which images an outage has failed, which are still to be deleted, which
//! need a larger worker, and which objects and staged files are orphans.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
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

/// How often the periodic retry requeues one image, at most. With the waits of [`list_failed_unavailable`] that is enough
/// for an outage of 14 hours, and a fault that is taken for an outage by mistake is not rendered without end.
pub const MAX_REVIVALS: i32 = 10;

/// How far the clock of an api, which makes the ids, may be from the database's.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// Images accepted after `since` that failed because the bucket or the database could not be reached and are due for
/// another try, oldest first, at most `limit`. `after`: the last image of the page before.
///
/// An image is due at once the first time, and later after 15 min, 45 min, 105 min and every 2 hours, up to
/// [`MAX_REVIVALS`] times. Reads the failed images of that time only, because ids sort by the time of the upload.
pub async fn list_failed_unavailable(
    db: &mut PgConnection,
    since: DateTime<Utc>,
    after: Option<ImageId>,
    limit: i64,
) -> Result<Vec<ImageId>, CatalogError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM images
         WHERE status = 'failed' AND id > $1 AND failure_code = 'unavailable' AND created_at > $2 AND revivals < $3
           AND finished_at <= now() - least(interval '15 minutes' * (power(2, revivals) - 1), interval '2 hours')
         ORDER BY id LIMIT $4",
        after.map_or_else(|| first_id(since - CLOCK_SKEW), ImageId::as_uuid),
        since,
        MAX_REVIVALS,
        limit,
    );
    Ok(ids.fetch_all(db).await?.into_iter().map(ImageId::from_uuid).collect())
}

/// The smallest id that an image of this time may have: `UUIDv7` begins with the time in milliseconds (RFC 9562,
/// section 5.7).
fn first_id(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// Makes those of `ids` `queued` again that are still failed as `unavailable`, and counts a revival of each.
pub async fn requeue_unavailable(db: &mut PgConnection, ids: &[ImageId]) -> Result<u64, CatalogError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let done = sqlx::query!(
        "UPDATE images SET status = 'queued', failure_code = NULL, failure_detail = NULL, finished_at = NULL,
                revivals = revivals + 1
         WHERE id = ANY($1) AND status = 'failed' AND failure_code = 'unavailable'",
        &ids
    );
    Ok(done.execute(db).await?.rows_affected())
}

/// Images that are being deleted, newest first, at most `limit`. `before`: the last image of the page before.
pub async fn list_deleting(
    db: &mut PgConnection,
    before: Option<ImageId>,
    limit: i64,
) -> Result<Vec<ImageId>, CatalogError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM images WHERE status = 'deleting' AND id < $1 ORDER BY id DESC LIMIT $2",
        before.map_or(Uuid::max(), ImageId::as_uuid),
        limit,
    );
    Ok(ids.fetch_all(db).await?.into_iter().map(ImageId::from_uuid).collect())
}

/// Whether an attempt at this image has begun after which it became neither ready nor failed. Such an attempt may have
/// been cut off while it stored an object.
pub async fn has_unfinished_attempt(db: &mut PgConnection, id: ImageId) -> Result<bool, CatalogError> {
    let unfinished = sqlx::query_scalar!(
        r#"SELECT started_at IS NOT NULL AND finished_at IS NULL AS "unfinished!" FROM images WHERE id = $1"#,
        id.as_uuid()
    );
    Ok(unfinished.fetch_optional(db).await?.unwrap_or(false))
}

/// Records that no live worker has room for this image, and returns how long that has been so.
pub async fn mark_too_large(db: &mut PgConnection, id: ImageId) -> Result<Duration, CatalogError> {
    let seconds = sqlx::query_scalar!(
        r#"UPDATE images SET too_large_since = coalesce(too_large_since, now()) WHERE id = $1
           RETURNING extract(epoch FROM now() - too_large_since)::float8 AS "seconds!""#,
        id.as_uuid()
    );
    let seconds = seconds.fetch_optional(db).await?.unwrap_or_default();
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Undoes [`mark_too_large`]: a worker with room for this image is alive.
pub async fn unmark_too_large(db: &mut PgConnection, id: ImageId) -> Result<(), CatalogError> {
    let done = sqlx::query!(
        "UPDATE images SET too_large_since = NULL WHERE id = $1 AND too_large_since IS NOT NULL",
        id.as_uuid()
    );
    done.execute(db).await?;
    Ok(())
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
