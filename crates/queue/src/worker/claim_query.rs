//! The statements that claim jobs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, FromRow, PgConnection};
use tracing::warn;

use super::{frontier::ClaimPosition, inbox::Inbox};
use crate::{job::JobId, lease::Claim, schema::Schema};

/// How long a suspect is kept from other processes while this one makes room for it.
pub(super) const RESERVATION: Duration = Duration::from_mins(1);

/// How many jobs to claim for this much room. The number is part of the statement, because with a limit in a parameter the
/// planner assumes a tenth of the table; large ones are rounded down, so that there are few statements.
pub(super) fn claim_size(room: usize) -> usize {
    match room {
        0..=16 => room,
        17..=128 => room - room % 16,
        _ => (room - room % 128).min(1024),
    }
}

macro_rules! take {
    () => {
        take!("status = 'Running', attempts = attempts + 1, ")
    };
    ($set:literal) => {
        concat!(
            "
    UPDATE apalis.jobs AS job
    SET ",
            $set,
            "lock_by = $2, lock_at = now(), fence = fence + 1
    FROM due WHERE job.id = due.id
    RETURNING job.id, job.fence, job.attempts, job.max_attempts, job.crashes, job.job AS payload, job.priority, job.turn,
        job.run_at"
        )
    };
}

/// `$1` queue, `$2` worker, `$3` maximum age of its heartbeat, `$4` whether the limit across all processes is respected.
/// Only a worker with a fresh heartbeat may claim: one that wakes from a long sleep must first show that it lives.
macro_rules! claim {
    ($from:literal) => {
        concat!(
            "
    WITH due AS MATERIALIZED (
        SELECT id FROM apalis.jobs
        WHERE job_type = $1 AND status = 'Pending' AND hold_reason IS NULL AND run_at <= now() ",
            $from,
            "
          AND EXISTS (SELECT FROM apalis.workers WHERE id = $2 AND last_seen > now() - $3::interval)
          AND NOT EXISTS (SELECT FROM apalis.settings WHERE queue = $1
            AND (paused_at IS NOT NULL OR running_limit IS NOT NULL AND NOT $4))
        ORDER BY priority DESC, turn, run_at, id LIMIT {limit} FOR UPDATE SKIP LOCKED
    ) ",
            take!()
        )
    };
}

pub(crate) const CLAIM: &str = claim!("");
pub(crate) const CLAIM_AFTER: &str = claim!("AND priority = $5 AND (turn, run_at, id) > ($6, $7, $8)");
pub(crate) const CLAIM_SUSPECT: &str = concat!(
    "
    WITH due AS MATERIALIZED (
        SELECT id FROM apalis.jobs WHERE id = $1 AND status = 'Pending' AND hold_reason = 'suspect'
          AND NOT EXISTS (SELECT FROM apalis.settings WHERE queue = job_type AND paused_at IS NOT NULL)
          AND EXISTS (SELECT FROM apalis.workers WHERE id = $2 AND last_seen > now() - $3::interval)
        FOR UPDATE SKIP LOCKED
    ) ",
    take!()
);
/// `$1` queue, `$2` worker, `$3` maximum age of its heartbeat. The jobs that only wait in processes with the same label: a
/// label may say what a process has room for.
pub(crate) const TAKE_OVER_IDLE: &str = concat!(
    "
    WITH due AS MATERIALIZED (
        SELECT job.id FROM apalis.workers AS own
        JOIN apalis.workers AS holder
            ON holder.worker_type = own.worker_type AND holder.layers = own.layers AND holder.id <> own.id
        JOIN apalis.jobs AS job ON job.lock_by = holder.id
        WHERE own.id = $2 AND own.worker_type = $1 AND own.last_seen > now() - $3::interval AND job.status = 'Running'
          AND job.idle_fence = job.fence AND job.hold_reason IS NULL
          AND NOT EXISTS (SELECT FROM apalis.settings WHERE queue = $1 AND paused_at IS NOT NULL)
        ORDER BY job.priority DESC, job.turn, job.run_at, job.id LIMIT {limit} FOR UPDATE OF job SKIP LOCKED
    ) ",
    take!("")
);
/// Only for workers whose heartbeat allows the claim that follows: otherwise the suspect would wait for the end of its reservation.
pub(crate) const RESERVE_SUSPECT: &str = "
    UPDATE apalis.jobs SET run_at = now() + $2::interval
    WHERE id = (
        SELECT id FROM apalis.jobs
        WHERE job_type = ANY($1) AND status = 'Pending' AND hold_reason = 'suspect' AND run_at <= now()
          AND NOT EXISTS (SELECT FROM apalis.settings WHERE queue = job_type AND paused_at IS NOT NULL)
          AND EXISTS (SELECT FROM apalis.workers AS worker
              WHERE worker.id = ANY($3) AND worker.worker_type = job_type AND worker.last_seen > now() - $4::interval)
        ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, job_type AS queue";
pub(crate) const EXTEND_RESERVATION: &str = "
    UPDATE apalis.jobs SET run_at = now() + $2::interval WHERE id = $1 AND status = 'Pending' AND hold_reason = 'suspect'";
pub(crate) const LIMITED_QUEUES: &str = "SELECT queue FROM apalis.settings WHERE running_limit IS NOT NULL";
pub(crate) const LOCK_LIMIT: &str = "
    SELECT running_limit FROM apalis.settings WHERE queue = $1 AND running_limit IS NOT NULL FOR UPDATE";
pub(crate) const COUNT_RUNNING: &str = "SELECT count(*) FROM apalis.jobs WHERE job_type = $1 AND status = 'Running'";

/// Runs the statements.
pub(crate) struct ClaimQueries {
    pub(crate) schema: Schema,
    /// A worker with an older heartbeat claims nothing.
    pub(crate) max_heartbeat_age: Duration,
}

/// The result of one claim.
pub(super) struct Claimed {
    pub(super) claims: Vec<Claim>,
    /// The position of the last job, if there is one.
    pub(super) last: Option<ClaimPosition>,
}

#[derive(FromRow)]
struct ClaimedRow {
    #[sqlx(try_from = "String")]
    id: JobId,
    fence: i32,
    attempts: i32,
    max_attempts: i32,
    crashes: i32,
    payload: Vec<u8>,
    priority: i32,
    turn: i64,
    run_at: DateTime<Utc>,
}

impl ClaimedRow {
    fn position(&self) -> ClaimPosition {
        ClaimPosition { priority: self.priority, turn: self.turn, run_at: self.run_at, id: self.id }
    }

    fn claim(self) -> Claim {
        let Self { id, fence, attempts, max_attempts, crashes, payload, .. } = self;
        Claim { id, fence, attempt: attempts, max_attempts, crashes, payload }
    }
}

/// Rows in the order of claims; an `UPDATE` returns them in any.
fn in_order(mut rows: Vec<ClaimedRow>) -> Vec<ClaimedRow> {
    rows.sort_by_cached_key(|row| row.position().order());
    rows
}

#[derive(FromRow)]
struct SuspectRow {
    #[sqlx(try_from = "String")]
    id: JobId,
    queue: String,
}

impl ClaimQueries {
    pub(super) async fn limited_queues(&self, conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(self.schema.sql(LIMITED_QUEUES)).fetch_all(conn).await
    }

    /// Locks the limit of a queue until the transaction ends, and returns how many more of its jobs may run in all
    /// processes together. The lock makes the number exact: claims of the queue take turns. It is a statement of its own,
    /// so that the count sees what the previous holder of the lock has committed. `None`: no limit.
    async fn room_below_limit(&self, tx: &mut PgConnection, queue: &str) -> Result<Option<usize>, sqlx::Error> {
        let lock = sqlx::query_scalar(self.schema.sql(LOCK_LIMIT)).bind(queue);
        let Some(limit): Option<i32> = lock.fetch_optional(&mut *tx).await? else { return Ok(None) };
        let running: i64 = sqlx::query_scalar(self.schema.sql(COUNT_RUNNING)).bind(queue).fetch_one(tx).await?;
        Ok(Some(usize::try_from(i64::from(limit) - running).unwrap_or(0)))
    }

    /// A claim from a queue with a limit across all processes.
    pub(crate) async fn claim_limited(
        &self,
        conn: &mut PgConnection,
        queue: &Inbox,
        limit: usize,
    ) -> Result<Vec<Claim>, sqlx::Error> {
        let mut tx = conn.begin().await?;
        let limit = match self.room_below_limit(&mut tx, queue.queue()).await? {
            Some(room) => claim_size(room.min(limit)),
            None => limit,
        };
        let claims = if limit == 0 { Vec::new() } else { self.claim(&mut tx, queue, limit, true, None).await?.claims };
        tx.commit().await?;
        Ok(claims)
    }

    /// `is_counted`: the caller respects the limit across all processes. Otherwise a queue that has one gives nothing, so
    /// that a limit that was set at this moment also binds processes that have not read it yet. `from`: the position
    /// behind which to begin; `None`: at the head.
    pub(super) async fn claim(
        &self,
        conn: &mut PgConnection,
        queue: &Inbox,
        limit: usize,
        is_counted: bool,
        from: Option<&ClaimPosition>,
    ) -> Result<Claimed, sqlx::Error> {
        let sql = if from.is_some() { CLAIM_AFTER } else { CLAIM };
        let query = sqlx::query_as(self.schema.sql_with(sql, "{limit}", limit)).bind(queue.queue());
        let mut query = query.bind(queue.worker()).bind(self.max_heartbeat_age).bind(is_counted);
        if let Some(ClaimPosition { priority, turn, run_at, id }) = from {
            query = query.bind(priority).bind(turn).bind(run_at).bind(id.to_string());
        }
        let rows = in_order(query.fetch_all(conn).await?);
        let last = rows.last().map(ClaimedRow::position);
        Ok(Claimed { claims: rows.into_iter().map(ClaimedRow::claim).collect(), last })
    }

    /// Takes over jobs that only wait in other processes, the next in the order of claims first.
    pub(crate) async fn take_over_idle(
        &self,
        conn: &mut PgConnection,
        queue: &Inbox,
        limit: usize,
    ) -> Result<Vec<Claim>, sqlx::Error> {
        let sql = self.schema.sql_with(TAKE_OVER_IDLE, "{limit}", limit);
        let query = sqlx::query_as(sql).bind(queue.queue()).bind(queue.worker()).bind(self.max_heartbeat_age);
        let rows = in_order(query.fetch_all(conn).await?);
        Ok(rows.into_iter().map(ClaimedRow::claim).collect())
    }

    /// Postpones the next due suspect of these queues, which these workers work on, and returns it with its queue.
    pub(super) async fn reserve_suspect(
        &self,
        conn: &mut PgConnection,
        queues: &[&str],
        workers: &[&str],
    ) -> Result<Option<(JobId, String)>, sqlx::Error> {
        let query = sqlx::query_as(self.schema.sql(RESERVE_SUSPECT)).bind(queues).bind(RESERVATION);
        let query = query.bind(workers).bind(self.max_heartbeat_age);
        let row: Option<SuspectRow> = query.fetch_optional(conn).await?;
        Ok(row.map(|SuspectRow { id, queue }| (id, queue)))
    }

    pub(super) async fn extend_reservation(&self, conn: &mut PgConnection, id: JobId) -> Result<(), sqlx::Error> {
        let query = sqlx::query(self.schema.sql(EXTEND_RESERVATION)).bind(id.to_string());
        query.bind(RESERVATION).execute(conn).await?;
        Ok(())
    }

    pub(crate) async fn claim_suspect(
        &self,
        conn: &mut PgConnection,
        queue: &Inbox,
        id: JobId,
    ) -> Result<Vec<Claim>, sqlx::Error> {
        let mut tx = conn.begin().await?;
        if self.room_below_limit(&mut tx, queue.queue()).await? == Some(0) {
            // Its reservation lapses, and it becomes due again.
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(self.schema.sql(CLAIM_SUSPECT)).bind(id.to_string()).bind(queue.worker());
        let rows: Vec<ClaimedRow> = query.bind(self.max_heartbeat_age).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        if rows.is_empty() {
            warn!(job = %id, "a suspect was claimed or cancelled by others, or its queue paused");
        }
        Ok(rows.into_iter().map(ClaimedRow::claim).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_fits_the_room_and_there_are_few_sizes() {
        let mut sizes: Vec<usize> = (0..5000).map(claim_size).collect();
        assert!(sizes.iter().enumerate().all(|(room, &size)| size <= room && (size > 0 || room == 0)));
        sizes.dedup();
        assert!(sizes.len() < 40, "{} statements", sizes.len());
    }
}
