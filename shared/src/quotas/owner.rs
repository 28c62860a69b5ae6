//! The limits of an owner, and what it uses of them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use darkroom_model::{ImageId, Owner};

/// Limits of an owner. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Requests per second of each of its keys.
    pub requests_per_second: Option<u64>,
    /// Bytes of uploads in an hour.
    pub bytes_per_hour: Option<u64>,
    /// Images that are queued or processing.
    pub pending_images: Option<u64>,
    /// Images.
    pub stored_images: Option<u64>,
    /// Bytes of the files of its images and of their renditions.
    pub stored_bytes: Option<u64>,
    /// Renditions of an image.
    pub renditions_per_image: Option<u64>,
}

/// What an owner uses, over all processes, and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerUsage {
    /// Who.
    pub owner: Owner,
    /// Its limits.
    pub limits: OwnerLimits,
    /// Bytes of uploads in the current hour of UTC, as far as they are settled.
    pub bytes_this_hour: u64,
    /// Images that are queued or processing; counted to the bound or the owner's limit and no further.
    pub pending_images: u64,
    /// Images, as far as they are summed.
    pub stored_images: u64,
    /// Bytes of files and renditions, as far as they are summed.
    pub stored_bytes: u64,
    /// When the oldest image was uploaded that waits for its first attempt.
    pub waiting_since: Option<DateTime<Utc>>,
}

/// Images that were requeued after an attempt, and are looked through for one that waits for its first.
const REQUEUED: i64 = 1000;

/// The limits and the usage of these owners. `defaults` are the limits of owners without their own; `bound` is how far pending
/// images are counted at least.
///
/// # Errors
/// Those of the statement.
pub async fn read_owners(
    db: &mut PgConnection,
    owners: &[Owner],
    defaults: &OwnerLimits,
    bound: u64,
) -> Result<Vec<OwnerUsage>, sqlx::Error> {
    let owners: Vec<i32> = owners.iter().map(|owner| owner.id()).collect();
    let rows = sqlx::query!(
        r#"SELECT one.owner AS "owner!", requests_per_second AS "requests_per_second?", bytes_per_hour AS "bytes_per_hour?",
                  pending_images AS "pending_images?", stored_images AS "stored_images?", stored_bytes AS "stored_bytes?",
                  renditions_per_image AS "renditions_per_image?",
                  coalesce(sent.bytes, 0) AS "sent!", coalesce(usage.images, 0) AS "images!",
                  coalesce(usage.bytes, 0) AS "bytes!",
                  (SELECT count(*) FROM (
                      SELECT FROM image_states AS state
                      WHERE state.owner = one.owner AND status IN ('queued', 'processing')
                      LIMIT greatest($2, own.pending_images)) AS pending
                  ) AS "pending!",
                  (SELECT id FROM (
                      SELECT id, attempts FROM image_states AS state
                      WHERE state.owner = one.owner AND status = 'queued' ORDER BY id LIMIT $3) AS queued
                   WHERE attempts = 0 ORDER BY id LIMIT 1) AS "oldest?"
           FROM unnest($1::integer[]) AS one (owner)
           LEFT JOIN owner_limits AS own ON own.owner = one.owner
           LEFT JOIN owner_usage AS usage ON usage.owner = one.owner
           LEFT JOIN bytes_in AS sent ON sent.owner = one.owner AND hour = date_trunc('hour', now(), 'UTC')"#,
        &owners,
        i64::try_from(bound).unwrap_or(i64::MAX),
        REQUEUED
    );
    let rows = rows.fetch_all(db).await?;
    let usage = rows.into_iter().map(|row| OwnerUsage {
        owner: Owner::from_id(row.owner),
        limits: OwnerLimits {
            requests_per_second: limit(row.requests_per_second, defaults.requests_per_second),
            bytes_per_hour: limit(row.bytes_per_hour, defaults.bytes_per_hour),
            pending_images: limit(row.pending_images, defaults.pending_images),
            stored_images: limit(row.stored_images, defaults.stored_images),
            stored_bytes: limit(row.stored_bytes, defaults.stored_bytes),
            renditions_per_image: limit(row.renditions_per_image, defaults.renditions_per_image),
        },
        bytes_this_hour: count(row.sent),
        pending_images: count(row.pending),
        stored_images: count(row.images),
        stored_bytes: count(row.bytes),
        waiting_since: row.oldest.map(ImageId::from_uuid).and_then(uploaded_at),
    });
    Ok(usage.collect())
}

/// When an image was uploaded, by its id.
fn uploaded_at(image: ImageId) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(image.unix_millis()?).ok()?)
}

/// The limit that a column says: its own, none at 0, or the default.
fn limit(column: Option<i64>, default: Option<u64>) -> Option<u64> {
    column.map_or(default, |own| Some(count(own)).filter(|own| *own > 0))
}

/// A count from a `bigint`. Sums may be below 0 while a deletion is summed before its upload.
fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owners_own_limit_precedes_the_default_and_0_is_none() {
        assert_eq!(limit(None, Some(5)), Some(5));
        assert_eq!(limit(Some(3), Some(5)), Some(3));
        assert_eq!(limit(Some(0), Some(5)), None);
        assert_eq!(limit(Some(3), None), Some(3));
    }
}
