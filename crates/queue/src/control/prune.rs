//! Removes old rows: finished jobs, dead workers, forgotten schedules.
//!
//! No index orders jobs by their end: every completion would have to write it. Job ids start with the time of their making,
//! so the primary key is walked from its old end up to the age that is kept, a few thousand rows at a time. It is walked
//! further where the table holds more jobs than it may.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use ulid::Ulid;

use super::Control;
use crate::{options::Retention, schema::Schema, timeout::with_timeout};

/// Rows per statement. Each is a transaction of its own, of some milliseconds.
const BATCH: i64 = 2000;
/// How far the clocks of the processes that make ids may be ahead of the database's. Beyond that, jobs are pruned later.
const CLOCK_SKEW: Duration = Duration::from_hours(1);
/// How long the rows of dead workers are kept: nothing needs them once their leases are over.
const KEEP_WORKERS: Duration = Duration::from_hours(24);
/// How long the tick of a schedule is remembered that no process has any more.
const KEEP_SCHEDULES: Duration = Duration::from_hours(24 * 365);

/// Number of rows removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Finished jobs.
    pub jobs: u64,
    /// Dead workers.
    pub workers: u64,
    /// Schedules that no process has any more.
    pub schedules: u64,
}

pub(crate) const PRUNE_NOW: &str = "SELECT now()";
/// The oldest job that may stay by their number: a scan of the young end of the primary key.
pub(crate) const PRUNE_OLDEST_KEPT: &str = "SELECT id FROM apalis.jobs ORDER BY id DESC OFFSET $1 - 1 LIMIT 1";
pub(crate) const PRUNE_JOBS: &str = "
    WITH seen AS MATERIALIZED (
        SELECT id, (status = 'Done' AND done_at <= now() - $3::interval) OR (status = 'Killed' AND done_at <= now() - $4::interval) AS old
        FROM apalis.jobs WHERE id > $1 AND id < $2 ORDER BY id LIMIT $5
    ), gone AS (
        DELETE FROM apalis.jobs WHERE id = ANY (ARRAY (SELECT id FROM seen WHERE old)) AND status IN ('Done', 'Killed')
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS removed, (SELECT count(*) FROM seen) AS seen,
        (SELECT max(id) FROM seen) AS last";
pub(crate) const PRUNE_WORKERS: &str = "
    DELETE FROM apalis.workers AS worker WHERE storage_name = 'queue' AND last_seen < now() - $1::interval
      AND NOT EXISTS (SELECT FROM apalis.jobs WHERE lock_by = worker.id AND status = 'Running')";
pub(crate) const PRUNE_SCHEDULES: &str = "DELETE FROM apalis.schedules WHERE seen_at < now() - $1::interval";

impl Control<'_> {
    /// Removes everything that is older than it is to be kept, in small transactions. Not for use inside one. Every
    /// process does it by itself about every ten minutes.
    pub async fn prune(&mut self, retention: Retention) -> Result<Pruned, sqlx::Error> {
        let now: DateTime<Utc> = with_timeout(sqlx::query_scalar(PRUNE_NOW).fetch_one(&mut *self.db)).await?;
        let youngest =
            (now - retention.done.min(retention.killed) + CLOCK_SKEW).timestamp_millis().max(0).unsigned_abs();
        let by_age = Ulid::from_parts(youngest, 0).to_string();
        let kept = sqlx::query_scalar(self.schema.sql(PRUNE_OLDEST_KEPT)).bind(i64::from(retention.max_jobs.max(1)));
        let by_number: Option<String> = with_timeout(kept.fetch_optional(&mut *self.db)).await?;
        let mut pruned = Pruned::default();
        if let Some(before) = by_number {
            let finished = Retention { done: Duration::ZERO, killed: Duration::ZERO, ..retention };
            pruned.jobs += self.prune_jobs(&before, finished).await?;
        }
        pruned.jobs += self.prune_jobs(&by_age, retention).await?;
        let workers = sqlx::query(self.schema.sql(PRUNE_WORKERS)).bind(KEEP_WORKERS);
        pruned.workers = with_timeout(workers.execute(&mut *self.db)).await?.rows_affected();
        let schedules = sqlx::query(self.schema.sql(PRUNE_SCHEDULES)).bind(KEEP_SCHEDULES);
        pruned.schedules = with_timeout(schedules.execute(&mut *self.db)).await?.rows_affected();
        Ok(pruned)
    }

    /// Walks the jobs with ids below `before`; returns how many were removed.
    async fn prune_jobs(&mut self, before: &str, retention: Retention) -> Result<u64, sqlx::Error> {
        let mut removed = 0;
        let mut after = Some(String::new());
        while let Some(start) = after {
            let walked = with_timeout(walk(&self.schema, &mut *self.db, &start, before, retention)).await?;
            removed += walked.removed.unsigned_abs();
            after = walked.last.filter(|_| walked.seen == BATCH);
        }
        Ok(removed)
    }
}

/// The result of one statement.
#[derive(FromRow)]
struct Walked {
    removed: i64,
    seen: i64,
    last: Option<String>,
}

async fn walk(
    schema: &Schema,
    conn: &mut PgConnection,
    after: &str,
    before: &str,
    retention: Retention,
) -> Result<Walked, sqlx::Error> {
    let query = sqlx::query_as(schema.sql(PRUNE_JOBS)).bind(after).bind(before);
    query.bind(retention.done).bind(retention.killed).bind(BATCH).fetch_one(conn).await
}
