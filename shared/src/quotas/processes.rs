//! The processes that serve the api. Each writes a row every second; those that did so lately are alive.

use sqlx::PgConnection;
use uuid::Uuid;

/// Says that this process is alive, and returns how many others are.
///
/// # Errors
/// Those of the statement.
pub async fn count_other_processes(db: &mut PgConnection, own: Uuid) -> Result<u32, sqlx::Error> {
    let others = sqlx::query_scalar!(
        r#"WITH dead AS (
               DELETE FROM api_processes WHERE seen_at < now() - interval '1 minute' AND id <> $1
           ), own AS (
               INSERT INTO api_processes (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET seen_at = now()
           )
           SELECT count(*) AS "count!" FROM api_processes WHERE seen_at > now() - interval '5 seconds' AND id <> $1"#,
        own
    );
    Ok(u32::try_from(others.fetch_one(db).await?).unwrap_or(u32::MAX))
}

/// Says that this process serves no more requests.
///
/// # Errors
/// Those of the statement.
pub async fn leave(db: &mut PgConnection, own: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM api_processes WHERE id = $1", own).execute(db).await?;
    Ok(())
}
