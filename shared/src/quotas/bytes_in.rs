//! The bytes that owners send in an hour of UTC.

use sqlx::PgConnection;

use darkroom_model::Owner;

/// Bytes that an owner has sent to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesIn {
    /// Who.
    pub owner: Owner,
    /// How many.
    pub bytes: u64,
}

/// Adds these bytes to the current hour of their owners, each of which occurs once, and forgets the hours before the last.
///
/// # Errors
/// Those of the statements.
pub async fn settle_bytes_in(db: &mut PgConnection, sent: &[BytesIn]) -> Result<(), sqlx::Error> {
    let owners: Vec<i32> = sent.iter().map(|sent| sent.owner.id()).collect();
    let bytes: Vec<i64> = sent.iter().map(|sent| i64::try_from(sent.bytes).unwrap_or(i64::MAX)).collect();
    let settle = sqlx::query!(
        "WITH old AS (
             DELETE FROM bytes_in WHERE hour < date_trunc('hour', now(), 'UTC') - interval '1 hour'
         )
         INSERT INTO bytes_in AS stored (hour, owner, bytes)
         -- In this order, so that no two processes wait for each other's rows.
         SELECT date_trunc('hour', now(), 'UTC'), owner, bytes FROM unnest($1::integer[], $2::bigint[]) AS sent (owner, bytes)
         ORDER BY owner
         ON CONFLICT (hour, owner) DO UPDATE SET bytes = stored.bytes + excluded.bytes",
        &owners,
        &bytes
    );
    settle.execute(db).await?;
    Ok(())
}
