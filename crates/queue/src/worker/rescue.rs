//! What must happen to jobs that no worker runs: delayed ones are released when they are due, those of dead workers are
//! requeued or quarantined, cancelled ones are ended.

use std::{sync::Arc, time::Duration};

use sqlx::{FromRow, PgConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    connection::ReconnectingConnection,
    final_failure::{FinalFailure, FinalFailureError},
    health::DatabaseHealth,
    registry::QueueRegistry,
};
use crate::{
    job::JobId,
    notifier::Notifier,
    outcome::{AttemptError, ErrorKind, FailureReason},
    schema::Schema,
    status::JobStatus,
    timeout::with_timeout,
};

/// Most jobs that one statement changes.
const BATCH: i64 = 500;

/// The task that does all this for the queues of this process.
pub(crate) struct Rescuer {
    pub(crate) schema: Schema,
    pub(crate) lease: Duration,
    pub(crate) interval: Duration,
    pub(crate) max_crashes: u16,
    pub(crate) queues: Arc<QueueRegistry>,
    pub(crate) health: Arc<DatabaseHealth>,
    pub(crate) notifier: Notifier,
    /// A job may be due, or there is a new queue.
    pub(crate) wake: Arc<Notify>,
    pub(crate) stop: CancellationToken,
    pub(crate) connection: ReconnectingConnection,
}

/// Wakes the [`Rescuer`] when a job becomes due before its next pass.
#[derive(Clone)]
pub(crate) struct RescueTimer {
    pub(crate) wake: Arc<Notify>,
    pub(crate) interval: Duration,
}

impl RescueTimer {
    pub(crate) fn wake_in(&self, delay: Duration) {
        if delay < self.interval {
            let wake = Arc::clone(&self.wake);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                wake.notify_one();
            });
        }
    }
}

/// Releases due jobs into the order of claims. Their turn is assigned now, as if they were enqueued now.
pub(crate) const RELEASE_DUE: &str = "
    WITH due AS MATERIALIZED (
        SELECT job.* FROM unnest($1::text[]) AS queue
        CROSS JOIN LATERAL (
            SELECT id, job_type, priority, lane, run_at FROM apalis.jobs
            WHERE job_type = queue AND status = 'Pending' AND hold_reason = 'delayed' AND run_at <= now()
            ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS job
    ), turns AS MATERIALIZED (
        SELECT job_type, priority, lane, apalis.next_turn(job_type, priority, lane) AS first
        FROM (SELECT DISTINCT job_type, priority, lane FROM due) AS lane
    ), placed AS (
        SELECT id, CASE WHEN due.lane IS NULL THEN first
            ELSE first - 1 + row_number() OVER (PARTITION BY due.job_type, due.priority, due.lane ORDER BY run_at)
            END AS turn
        FROM due JOIN turns ON turns.job_type = due.job_type AND turns.priority = due.priority
            AND turns.lane IS NOT DISTINCT FROM due.lane
    ), released AS (
        UPDATE apalis.jobs AS job SET hold_reason = NULL, turn = placed.turn FROM placed WHERE job.id = placed.id
        RETURNING job.job_type
    )
    SELECT job_type AS queue, count(*) AS released FROM released GROUP BY job_type";
pub(crate) const NEXT_DUE: &str = "
    SELECT extract(epoch FROM min(next.run_at) - clock_timestamp())::float8 FROM unnest($1::text[]) AS queue
    CROSS JOIN LATERAL (
        SELECT run_at FROM apalis.jobs WHERE job_type = queue AND status = 'Pending' AND hold_reason = 'delayed'
        ORDER BY run_at LIMIT 1
    ) AS next";

/// The running jobs of dead workers: the lease has passed since the worker's last heartbeat, and the server itself has been
/// up for a lease. `$1` are the queues, `$2` is the lease.
macro_rules! of_dead_workers {
    () => {
        "
    FROM apalis.jobs AS job LEFT JOIN apalis.workers AS worker ON worker.id = job.lock_by
    WHERE job.status = 'Running' AND job.job_type = ANY($1) AND job.lock_at < now() - $2::interval
      AND (worker.id IS NULL OR worker.last_seen < now() - $2::interval) AND pg_postmaster_start_time() < now() - $2::interval"
    };
}
/// The attempt only waited: the death of its worker is no crash of the job.
macro_rules! only_waited {
    () => {
        "job.idle_fence IS NOT DISTINCT FROM job.fence"
    };
}
/// The text that is recorded as the error.
macro_rules! evidence {
    () => {
        "coalesce('its worker was last seen at ' || worker.last_seen, 'its worker is unknown') AS evidence"
    };
}

/// Requeues jobs of dead workers. With one crash left, a job becomes a suspect and runs alone. An attempt that only waited
/// counts neither as a crash nor as an attempt.
pub(crate) const REQUEUE_ORPHANS: &str = concat!(
    "WITH dead AS MATERIALIZED (
        SELECT job.id, ",
    only_waited!(),
    " AS waited, ",
    evidence!(),
    of_dead_workers!(),
    "
          AND job.hold_reason IS DISTINCT FROM 'cancel' AND (job.crashes + 1 < $3 OR ",
    only_waited!(),
    ")
        LIMIT $4 FOR UPDATE OF job SKIP LOCKED
    ), requeued AS (
        UPDATE apalis.jobs AS job
        SET status = 'Pending', run_at = now(), lock_by = NULL, lock_at = NULL,
            attempts = job.attempts - waited::integer, crashes = job.crashes + 1 - waited::integer,
            hold_reason = CASE WHEN waited THEN job.hold_reason WHEN job.crashes + 2 >= $3 THEN 'suspect' END,
            errors = CASE WHEN waited THEN job.errors
                ELSE apalis.append_error(job.errors, job.attempts, job.lock_by, 'crash', evidence) END,
            last_result = CASE WHEN waited THEN job.last_result ELSE jsonb_build_object('Err', evidence) END
        FROM dead WHERE job.id = dead.id
        RETURNING job.id, job.job_type, job.crashes, waited
    )
    SELECT id, job_type AS queue, crashes, waited FROM requeued"
);
/// The jobs of dead workers that are not requeued: cancelled meanwhile, or to be quarantined.
pub(crate) const FIND_UNRECOVERABLE: &str = concat!(
    "SELECT job.id, job.fence, job.job_type AS queue, job.status, job.hold_reason IS NOT DISTINCT FROM 'cancel' AS cancelled, ",
    evidence!(),
    of_dead_workers!(),
    "
      AND (job.hold_reason IS NOT DISTINCT FROM 'cancel' OR job.crashes + 1 >= $3 AND NOT (",
    only_waited!(),
    "))
    LIMIT $4"
);
/// The jobs that were cancelled before they ran.
pub(crate) const FIND_CANCELLED: &str = "
    SELECT id, fence, job_type AS queue, status, true AS cancelled, 'cancelled before it ran' AS evidence FROM apalis.jobs
    WHERE job_type = ANY($1) AND status = 'Pending' AND hold_reason = 'cancel' LIMIT $2";

#[derive(FromRow)]
struct ReleasedRow {
    queue: String,
    released: i64,
}

#[derive(FromRow)]
struct OrphanRow {
    id: String,
    queue: String,
    crashes: i32,
    waited: bool,
}

/// A job that is to be ended here, because no worker runs it.
#[derive(FromRow)]
struct LostRow {
    #[sqlx(try_from = "String")]
    id: JobId,
    fence: i32,
    queue: String,
    status: JobStatus,
    cancelled: bool,
    evidence: String,
}

impl Rescuer {
    /// Works until the process stops.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.pass() => result,
            };
            let wake = Arc::clone(&self.wake);
            let wait = async {
                match result {
                    Ok(wait) => tokio::time::sleep(wait).await,
                    Err(error) => {
                        self.health.failed();
                        self.connection.failed(&error).await;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = wake.notified() => {}
                () = wait => {}
            }
        }
    }

    /// One pass over everything. Returns how long nothing will be due.
    pub(crate) async fn pass(&mut self) -> Result<Duration, sqlx::Error> {
        let queues = self.queues.all();
        let names: Vec<&str> = queues.iter().map(|queue| queue.queue()).collect();
        if names.is_empty() {
            return Ok(self.interval);
        }
        let schema = &self.schema;
        let conn = self.connection.open().await?;
        let release = sqlx::query_as(schema.sql(RELEASE_DUE)).bind(&names).bind(BATCH);
        let released: Vec<ReleasedRow> = with_timeout(release.fetch_all(&mut *conn)).await?;
        for row in &released {
            self.notifier.notify(&row.queue);
        }
        let cancelled = sqlx::query_as(schema.sql(FIND_CANCELLED)).bind(&names).bind(BATCH);
        let cancelled = with_timeout(cancelled.fetch_all(&mut *conn)).await?;
        end_all(schema, conn, &self.queues, cancelled).await?;
        // After a fault of the database every heartbeat is old although every worker may be alive. So a whole lease must
        // pass first in which nothing went wrong.
        if self.health.healthy_for() >= self.lease {
            let max_crashes = i32::from(self.max_crashes);
            let requeue = sqlx::query_as(schema.sql(REQUEUE_ORPHANS)).bind(&names).bind(self.lease);
            let requeued = requeue.bind(max_crashes).bind(BATCH).fetch_all(&mut *conn);
            for OrphanRow { id, queue, crashes, waited } in with_timeout(requeued).await? {
                self.notifier.notify(&queue);
                if waited {
                    info!(job = id, queue, "requeued a job that only waited in a worker that died");
                } else {
                    warn!(job = id, queue, crashes, "requeued a job whose worker died");
                }
            }
            let find = sqlx::query_as(schema.sql(FIND_UNRECOVERABLE)).bind(&names).bind(self.lease);
            let lost = with_timeout(find.bind(max_crashes).bind(BATCH).fetch_all(&mut *conn)).await?;
            end_all(schema, conn, &self.queues, lost).await?;
        }
        if released.iter().any(|row| row.released >= BATCH) {
            return Ok(Duration::ZERO);
        }
        let next: Option<f64> =
            with_timeout(sqlx::query_scalar(schema.sql(NEXT_DUE)).bind(&names).fetch_one(conn)).await?;
        // A millisecond more, or the job is not quite due at the next pass.
        let next = next.map(|seconds| Duration::try_from_secs_f64(seconds + 0.001).unwrap_or_default());
        Ok(next.map_or(self.interval, |next| next.min(self.interval)))
    }
}

impl LostRow {
    fn failure(self) -> (String, FinalFailure) {
        let kind = if self.status == JobStatus::Pending { ErrorKind::Cancelled } else { ErrorKind::Crash };
        let reason = if self.cancelled { FailureReason::Cancelled } else { FailureReason::Quarantined };
        let error = AttemptError::new(kind, self.evidence);
        let failure = FinalFailure { id: self.id, fence: self.fence, from: self.status, reason, error, source: None };
        (self.queue, failure)
    }
}

/// Ends jobs one by one. A hook that fails is called again in the next pass and delays no other job.
async fn end_all(
    schema: &Schema,
    conn: &mut PgConnection,
    queues: &QueueRegistry,
    lost: Vec<LostRow>,
) -> Result<(), sqlx::Error> {
    for (name, mut failure) in lost.into_iter().map(LostRow::failure) {
        let Some(queue) = queues.get(&name) else { continue };
        match failure.write(schema, conn, queue.as_ref()).await {
            Ok(_) => {}
            Err(FinalFailureError::Hook(hook)) => {
                error!(job = %failure.id, queue = name, error = %hook, "the failure hook failed: it is called again");
            }
            Err(FinalFailureError::Sql(error)) => return Err(error),
        }
    }
    Ok(())
}
