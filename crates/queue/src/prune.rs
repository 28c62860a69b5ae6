//! Removes what has ended long ago: jobs, workers, schedules.
//!
//! No index tells when jobs ended: every completion would have to write it. Job ids begin with the time of their making,
//! so the primary key is walked from its old end up to the age that is kept, a few thousand rows at a time. It is walked
//! further where the table holds more jobs than it should.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use tracing::info;
use ulid::Ulid;

use super::{
    link::{Link, within},
    supervisor::Shared,
};

/// Rows that one statement looks at. It is a transaction of its own, of milliseconds.
const BATCH: i64 = 2000;
/// Between two passes, about.
const PAUSE: Duration = Duration::from_mins(10);
/// How far the clocks of those who make ids may run ahead of the database's. Beyond that, jobs are pruned later.
const SKEW: Duration = Duration::from_hours(1);
/// How long the rows of workers that are gone are kept: nothing needs them once their leases are over.
const KEEP_WORKERS: Duration = Duration::from_hours(24);
/// How long a schedule that nobody carries is remembered.
const KEEP_SCHEDULES: Duration = Duration::from_hours(24 * 365);

/// How long jobs are kept after their end, and how many. Their keys are free again when they are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Jobs that are done.
    pub done: Duration,
    /// Jobs that failed for good, were quarantined or cancelled.
    pub killed: Duration,
    /// Most jobs in the table, those that have not ended among them. Of the rest the oldest go, if they have ended,
    /// whatever their age.
    pub jobs: u32,
}

impl Default for Retention {
    /// A week; 30 days for those that failed; a million jobs.
    fn default() -> Self {
        Self { done: Duration::from_hours(24 * 7), killed: Duration::from_hours(24 * 30), jobs: 1_000_000 }
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Jobs that had ended.
    pub jobs: u64,
    /// Workers that are gone.
    pub workers: u64,
    /// Schedules that no process carries.
    pub schedules: u64,
}

/// Prunes from time to time until the process drains. Several processes may: what one has removed, the others miss.
pub(super) async fn run(shared: Arc<Shared>, mut link: Link) {
    let work = async {
        loop {
            let result = pass(&shared, &mut link).await;
            link.rest(result, PAUSE).await;
        }
    };
    tokio::select! {
        () = shared.draining.cancelled() => {}
        () = work => {}
    }
}

async fn pass(shared: &Shared, link: &mut Link) -> Result<(), sqlx::Error> {
    let pruned = prune(link.open().await?, shared.options.retention).await?;
    if pruned != Pruned::default() {
        info!(jobs = pruned.jobs, workers = pruned.workers, schedules = pruned.schedules, "pruned");
    }
    Ok(())
}

/// Removes everything that is older than it is to be kept, in small transactions. Not for use inside one.
pub async fn prune(db: &mut PgConnection, retention: Retention) -> Result<Pruned, sqlx::Error> {
    let now: DateTime<Utc> = within(sqlx::query_scalar("SELECT now()").fetch_one(&mut *db)).await?;
    let youngest = (now - retention.done.min(retention.killed) + SKEW).timestamp_millis().max(0).unsigned_abs();
    let by_age = Ulid::from_parts(youngest, 0).to_string();
    // The oldest job that may stay by their number: a scan of the primary key's young end.
    let kept = "SELECT id FROM apalis.jobs ORDER BY id DESC OFFSET $1 - 1 LIMIT 1";
    let kept = sqlx::query_scalar(kept).bind(i64::from(retention.jobs.max(1)));
    let by_number: Option<String> = within(kept.fetch_optional(&mut *db)).await?;
    let mut pruned = Pruned::default();
    if let Some(before) = by_number {
        let anything_ended = Retention { done: Duration::ZERO, killed: Duration::ZERO, ..retention };
        pruned.jobs += prune_jobs(&mut *db, &before, anything_ended).await?;
    }
    pruned.jobs += prune_jobs(&mut *db, &by_age, retention).await?;
    let workers = "
        DELETE FROM apalis.workers AS worker WHERE storage_name = 'darkroom' AND last_seen < now() - $1
          AND NOT EXISTS (SELECT FROM apalis.jobs WHERE lock_by = worker.id AND status = 'Running')";
    pruned.workers = within(sqlx::query(workers).bind(KEEP_WORKERS).execute(&mut *db)).await?.rows_affected();
    let schedules = "DELETE FROM queue_schedules WHERE seen_at < now() - $1";
    pruned.schedules = within(sqlx::query(schedules).bind(KEEP_SCHEDULES).execute(db)).await?.rows_affected();
    Ok(pruned)
}

/// Walks the jobs with ids below `before`; returns how many went.
async fn prune_jobs(db: &mut PgConnection, before: &str, retention: Retention) -> Result<u64, sqlx::Error> {
    let mut removed = 0;
    let mut after = Some(String::new());
    while let Some(start) = after {
        let batch = within(prune_batch(&mut *db, &start, before, retention)).await?;
        removed += batch.removed;
        after = batch.last;
    }
    Ok(removed)
}

struct Batch {
    removed: u64,
    /// The last row that was looked at. `None`: the walk is over.
    last: Option<String>,
}

async fn prune_batch(
    conn: &mut PgConnection,
    after: &str,
    before: &str,
    retention: Retention,
) -> Result<Batch, sqlx::Error> {
    let sql = "
        WITH seen AS MATERIALIZED (
            SELECT id, (status = 'Done' AND done_at <= now() - $3) OR (status = 'Killed' AND done_at <= now() - $4) AS old
            FROM apalis.jobs WHERE id > $1 AND id < $2 ORDER BY id LIMIT $5
        ), gone AS (
            DELETE FROM apalis.jobs WHERE id = ANY (ARRAY (SELECT id FROM seen WHERE old)) AND status IN ('Done', 'Killed')
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM seen), (SELECT max(id) FROM seen)";
    let query = sqlx::query(sql).bind(after).bind(before).bind(retention.done).bind(retention.killed).bind(BATCH);
    let row = query.fetch_one(conn).await?;
    let (removed, seen, last): (i64, i64, Option<String>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Batch { removed: removed.unsigned_abs(), last: last.filter(|_| seen == BATCH) })
}
