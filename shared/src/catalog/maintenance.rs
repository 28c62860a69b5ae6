//! What the worker asks beside the lifecycle: which images an outage has failed, which are still to be deleted, which
//! need a larger worker, and which images files belong to.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use darkroom_model::{ImageId, OwnedImage, Owner, Rendition, Status};

use super::{
    CatalogError,
    columns::{CLOCK_SKEW, columns_of, first_id, from_bigint, from_integer, known, owned, sha256, string_enum},
};

/// The time by the database's clock, which all replicas share.
pub async fn now(db: &mut PgConnection) -> Result<DateTime<Utc>, CatalogError> {
    Ok(sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(db).await?)
}

/// How often the periodic retry requeues one image, at most. With the waits of [`list_failed_unavailable`] that is enough
/// for an outage of 14 hours, and a fault that is taken for an outage by mistake is not rendered without end.
pub const MAX_REVIVALS: i32 = 10;

/// Images of all owners accepted after `since` that failed because the bucket or the database could not be reached and are
/// due for another try, oldest first, at most `limit`. `after`: the last image of the page before.
///
/// An image is due at once the first time, and later after 15 min, 45 min, 105 min and every 2 hours, up to
/// [`MAX_REVIVALS`] times. Reads such images of that time only, because ids sort by the time of the upload.
pub async fn list_failed_unavailable(
    db: &mut PgConnection,
    since: DateTime<Utc>,
    after: Option<OwnedImage>,
    limit: i64,
) -> Result<Vec<OwnedImage>, CatalogError> {
    let rows = sqlx::query!(
        "SELECT owner, id FROM image_states JOIN images USING (owner, id)
         WHERE status = 'failed' AND failure_code = 'unavailable' AND (id, owner) > ($1, $2) AND created_at > $3
           AND revivals < $4
           AND finished_at <= now() - least(interval '15 minutes' * (power(2, revivals) - 1), interval '2 hours')
         ORDER BY id, owner LIMIT $5",
        after.map_or_else(|| first_id(since - CLOCK_SKEW), |image| image.id.as_uuid()),
        after.map_or(0, |image| image.owner.id()),
        since,
        MAX_REVIVALS,
        limit,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| owned(row.owner, row.id)).collect())
}

/// Makes those of `images` `queued` again that are still failed as `unavailable`, and counts a revival of each.
pub async fn requeue_unavailable(db: &mut PgConnection, images: &[OwnedImage]) -> Result<u64, CatalogError> {
    let (owners, ids) = columns_of(images);
    let done = sqlx::query!(
        // A comparison of rows uses no index, so the images are found by their key: after an outage, nearly all images have this
        // status and this failure.
        "UPDATE image_states AS state
         SET version = version + 1, status = 'queued', failure_code = NULL, failure_detail = NULL, finished_at = NULL,
             revivals = revivals + 1
         FROM unnest($1::integer[], $2::uuid[]) AS wanted (owner, id)
         WHERE state.owner = wanted.owner AND state.id = wanted.id
           AND (state.status, state.failure_code) IS NOT DISTINCT FROM ('failed', 'unavailable')",
        &owners,
        &ids
    );
    Ok(done.execute(db).await?.rows_affected())
}

/// Images of all owners that are being deleted, by owner and id, at most `limit`. `after`: the last image of the page
/// before.
pub async fn list_deleting(
    db: &mut PgConnection,
    after: Option<OwnedImage>,
    limit: i64,
) -> Result<Vec<OwnedImage>, CatalogError> {
    let rows = sqlx::query!(
        "SELECT owner, id FROM image_states
         WHERE status = 'deleting' AND (owner, id) > ($1, $2) ORDER BY owner, id LIMIT $3",
        after.map_or(0, |image| image.owner.id()),
        after.map_or(Uuid::nil(), |image| image.id.as_uuid()),
        limit,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| owned(row.owner, row.id)).collect())
}

/// Whether an attempt at this image may have been cut off while it stored an object: one has begun after which the image
/// became neither ready nor failed, or has left its intent.
pub async fn has_unfinished_attempt(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<bool, CatalogError> {
    let unfinished = sqlx::query_scalar!(
        r#"SELECT started_at IS NOT NULL AND finished_at IS NULL
               OR EXISTS (SELECT FROM put_intents AS intent WHERE intent.owner = $1 AND intent.image_id = $2) AS "unfinished!"
           FROM image_states WHERE owner = $1 AND id = $2"#,
        owner.id(),
        id.as_uuid()
    );
    Ok(unfinished.fetch_optional(db).await?.unwrap_or(false))
}

/// Records that no live worker has room for this image, and returns how long that has been so.
pub async fn mark_too_large(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Duration, CatalogError> {
    let seconds = sqlx::query_scalar!(
        r#"UPDATE image_states SET too_large_since = coalesce(too_large_since, now()) WHERE owner = $1 AND id = $2
           RETURNING extract(epoch FROM now() - too_large_since)::float8 AS "seconds!""#,
        owner.id(),
        id.as_uuid()
    );
    let seconds = seconds.fetch_optional(db).await?.unwrap_or_default();
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Undoes [`mark_too_large`]: a worker with room for this image is alive.
pub async fn unmark_too_large(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<(), CatalogError> {
    let done = sqlx::query!(
        "UPDATE image_states SET too_large_since = NULL WHERE owner = $1 AND id = $2 AND too_large_since IS NOT NULL",
        owner.id(),
        id.as_uuid()
    );
    done.execute(db).await?;
    Ok(())
}

/// The status of each of these images that exists; `None`: only a newer version knows it.
pub async fn statuses(
    db: &mut PgConnection,
    images: &[OwnedImage],
) -> Result<HashMap<OwnedImage, Option<Status>>, CatalogError> {
    let (owners, ids) = columns_of(images);
    let rows = sqlx::query!(
        "SELECT owner, id, status FROM image_states
         JOIN unnest($1::integer[], $2::uuid[]) AS wanted (owner, id) USING (owner, id)",
        &owners,
        &ids
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (owned(row.owner, row.id), known(&row.status))).collect())
}

/// [`statuses`], with the images locked until the transaction ends, so that no attempt begins or ends in the meantime.
pub async fn lock_statuses(
    db: &mut PgConnection,
    images: &[OwnedImage],
) -> Result<HashMap<OwnedImage, Option<Status>>, CatalogError> {
    let (owners, ids) = columns_of(images);
    let locked = sqlx::query!(
        "SELECT owner, id, status FROM image_states
         JOIN unnest($1::integer[], $2::uuid[]) AS wanted (owner, id) USING (owner, id)
         ORDER BY owner, id FOR UPDATE OF image_states",
        &owners,
        &ids
    );
    Ok(locked.fetch_all(db).await?.into_iter().map(|row| (owned(row.owner, row.id), known(&row.status))).collect())
}

/// The renditions of these images.
pub async fn renditions_of_all(
    db: &mut PgConnection,
    images: &[OwnedImage],
) -> Result<Vec<(OwnedImage, Rendition)>, CatalogError> {
    let (owners, ids) = columns_of(images);
    let rows = sqlx::query!(
        "SELECT owner, image_id, name, format, width, height, bytes, sha256 FROM renditions
         JOIN unnest($1::integer[], $2::uuid[]) AS wanted (owner, image_id) USING (owner, image_id)",
        &owners,
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
            Ok((owned(row.owner, row.image_id), rendition))
        })
        .collect()
}
