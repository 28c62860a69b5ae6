//! The images and bytes that owners store. Triggers write what each transaction adds and removes (`migrations/0009_limits.sql`).

use sqlx::PgConnection;

/// Adds what transactions have changed to the sums of their owners, at most `limit` changes, and returns how many there were.
/// Processes that do it at once share the changes.
///
/// # Errors
/// Those of the statement.
pub async fn sum_stored(db: &mut PgConnection, limit: i64) -> Result<u64, sqlx::Error> {
    let changes = sqlx::query_scalar!(
        r#"WITH changes AS (
               DELETE FROM usage_changes
               WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_changes LIMIT $1 FOR UPDATE SKIP LOCKED))
               RETURNING owner, images, bytes
           ), sums AS (
               INSERT INTO owner_usage AS total (owner, images, bytes)
               -- In this order, so that no two processes wait for each other's rows.
               SELECT owner, sum(images), sum(bytes) FROM changes GROUP BY owner ORDER BY owner
               ON CONFLICT (owner) DO UPDATE
               SET images = total.images + excluded.images, bytes = total.bytes + excluded.bytes
           )
           SELECT count(*) AS "count!" FROM changes"#,
        limit
    );
    Ok(u64::try_from(changes.fetch_one(db).await?).unwrap_or(0))
}
