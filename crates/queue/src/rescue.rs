//! What must happen to jobs that no worker runs: delayed ones are released when they are due, those of dead workers are
//! taken back, cancelled ones are ended.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use tracing::{error, warn};

use super::{
    enqueue::parse_id,
    failure::{AttemptError, ErrorKind, FailError, FailureReason, Final, fail},
    link::{Link, within},
    supervisor::Shared,
};

/// Most jobs of a queue that one statement moves.
const BATCH: i64 = 500;

/// Looks after this process's queues until it stops.
pub(super) async fn run(shared: Arc<Shared>, mut link: Link) {
    loop {
        let result = tokio::select! {
            () = shared.stop.cancelled() => return,
            result = pass(&shared, &mut link) => result,
        };
        let wait = async {
            match result {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) => {
                    shared.disturbed();
                    link.failed(&error).await;
                }
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.due.notified() => {}
            () = wait => {}
        }
    }
}

/// One look at everything. Returns how long nothing is due.
pub(super) async fn pass(shared: &Shared, link: &mut Link) -> Result<Duration, sqlx::Error> {
    let served = shared.all_served();
    let queues: Vec<&str> = served.iter().map(|served| served.queue()).collect();
    if queues.is_empty() {
        return Ok(shared.options.heartbeat);
    }
    let conn = link.open().await?;
    let released = within(release_due(conn, &queues)).await?;
    let unwanted = within(cancelled(conn, &queues)).await?;
    end_all(shared, conn, unwanted).await?;
    // After a fault of the database every heartbeat is old, and every worker is alive. So first a whole lease must pass
    // in which nothing went wrong.
    if shared.undisturbed() >= shared.options.lease {
        within(take_back(conn, &queues, shared)).await?;
        let lost = within(beyond_rescue(conn, &queues, shared)).await?;
        end_all(shared, conn, lost).await?;
    }
    if released.iter().any(|&(_, count)| count >= BATCH) {
        return Ok(Duration::ZERO);
    }
    let due = within(next_due(conn, &queues)).await?;
    Ok(due.map_or(shared.options.heartbeat, |due| due.min(shared.options.heartbeat)))
}

/// Lets delayed jobs into the order of claims. Their turn is settled now, as if they came now.
async fn release_due(conn: &mut PgConnection, queues: &[&str]) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let sql = "
        WITH due AS MATERIALIZED (
            SELECT job.* FROM unnest($1::text[]) AS queue
            CROSS JOIN LATERAL (
                SELECT id, job_type, priority, lane, run_at FROM apalis.jobs
                WHERE job_type = queue AND status = 'Pending' AND hold = 'later' AND run_at <= now()
                ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) AS job
        ), turns AS MATERIALIZED (
            SELECT job_type, priority, lane, queue_next_turn(job_type, priority, lane) AS first
            FROM (SELECT DISTINCT job_type, priority, lane FROM due) AS lane
        ), placed AS (
            SELECT id, CASE WHEN due.lane IS NULL THEN first
                ELSE first - 1 + row_number() OVER (PARTITION BY due.job_type, due.priority, due.lane ORDER BY run_at)
                END AS turn
            FROM due JOIN turns ON turns.job_type = due.job_type AND turns.priority = due.priority
                AND turns.lane IS NOT DISTINCT FROM due.lane
        ), released AS (
            UPDATE apalis.jobs AS job SET hold = NULL, turn = placed.turn FROM placed WHERE job.id = placed.id
            RETURNING job.job_type
        )
        SELECT job_type, count(*), pg_notify('darkroom_queue', job_type)::text FROM released GROUP BY job_type";
    let rows = sqlx::query(sql).bind(queues).bind(BATCH).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// How long until the next delayed job is due.
async fn next_due(conn: &mut PgConnection, queues: &[&str]) -> Result<Option<Duration>, sqlx::Error> {
    let sql = "
        SELECT extract(epoch FROM min(next.run_at) - clock_timestamp())::float8 FROM unnest($1::text[]) AS queue
        CROSS JOIN LATERAL (
            SELECT run_at FROM apalis.jobs WHERE job_type = queue AND status = 'Pending' AND hold = 'later'
            ORDER BY run_at LIMIT 1
        ) AS next";
    let seconds: Option<f64> = sqlx::query_scalar(sql).bind(queues).fetch_one(conn).await?;
    // A millisecond more, or the job is not quite due when the next look comes.
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds + 0.001).unwrap_or_default()))
}

/// The running jobs of dead workers: the lease is over by the worker's last heartbeat, and the server itself has been up
/// for a lease. `$1` are the queues, `$2` is the lease.
const DEAD: &str = "
    FROM apalis.jobs AS job LEFT JOIN apalis.workers AS worker ON worker.id = job.lock_by
    WHERE job.status = 'Running' AND job.job_type = ANY($1) AND job.lock_at < now() - $2
      AND (worker.id IS NULL OR worker.last_seen < now() - $2) AND pg_postmaster_start_time() < now() - $2";

/// What is recorded of it.
const EVIDENCE: &str = "coalesce('its worker was last seen at ' || worker.last_seen, 'its worker is unknown')";

/// Gives the jobs of dead workers back to the queue. Who was there when a worker died for the last time but one that is
/// allowed becomes a suspect.
async fn take_back(conn: &mut PgConnection, queues: &[&str], shared: &Shared) -> Result<(), sqlx::Error> {
    let sql = format!(
        "WITH dead AS MATERIALIZED (
            SELECT job.id, {EVIDENCE} AS evidence {DEAD}
              AND job.hold IS DISTINCT FROM 'cancel' AND job.crashes + 1 < $3
            LIMIT $4 FOR UPDATE OF job SKIP LOCKED
        ), back AS (
            UPDATE apalis.jobs AS job
            SET status = 'Pending', run_at = now(), crashes = job.crashes + 1, lock_by = NULL, lock_at = NULL,
                hold = CASE WHEN job.crashes + 2 >= $3 THEN 'suspect' END,
                errors = queue_add_error(job.errors, job.attempts, job.lock_by, 'crash', evidence),
                last_result = jsonb_build_object('Err', evidence)
            FROM dead WHERE job.id = dead.id
            RETURNING job.id, job.job_type, job.hold, job.crashes
        )
        SELECT id, job_type, crashes, CASE WHEN hold IS NULL THEN pg_notify('darkroom_queue', job_type)::text END
        FROM back"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(queues).bind(shared.options.lease);
    for row in query.bind(i32::from(shared.options.max_crashes)).bind(BATCH).fetch_all(conn).await? {
        let (id, queue, crashes): (String, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        warn!(job = id, queue, crashes, "took a job back from a worker that is gone");
    }
    Ok(())
}

/// The jobs of dead workers that are not given back: cancelled meanwhile, or to be quarantined.
async fn beyond_rescue(conn: &mut PgConnection, queues: &[&str], shared: &Shared) -> Result<Vec<Lost>, sqlx::Error> {
    let sql = format!(
        "SELECT job.id, job.fence, job.job_type, job.status, job.hold IS NOT DISTINCT FROM 'cancel', {EVIDENCE} {DEAD}
          AND (job.hold IS NOT DISTINCT FROM 'cancel' OR job.crashes + 1 >= $3)
        LIMIT $4"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(queues).bind(shared.options.lease);
    query.bind(i32::from(shared.options.max_crashes)).bind(BATCH).fetch_all(conn).await?.iter().map(read_lost).collect()
}

/// The jobs that were cancelled before they ran.
async fn cancelled(conn: &mut PgConnection, queues: &[&str]) -> Result<Vec<Lost>, sqlx::Error> {
    let sql = "
        SELECT id, fence, job_type, status, true, 'cancelled before it ran' FROM apalis.jobs
        WHERE job_type = ANY($1) AND status = 'Pending' AND hold = 'cancel' LIMIT $2";
    sqlx::query(sql).bind(queues).bind(BATCH).fetch_all(conn).await?.iter().map(read_lost).collect()
}

/// A job that is to be ended here, because nobody runs it.
struct Lost {
    queue: String,
    end: Final,
}

fn read_lost(row: &PgRow) -> Result<Lost, sqlx::Error> {
    let (status, is_cancelled, evidence): (String, bool, String) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let from = if status == "Pending" { "Pending" } else { "Running" };
    let kind = if from == "Pending" { ErrorKind::Cancelled } else { ErrorKind::Crash };
    let reason = if is_cancelled { FailureReason::Cancelled } else { FailureReason::Quarantined };
    let id = parse_id(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let error = AttemptError::new(kind, evidence);
    Ok(Lost { queue: row.try_get(2)?, end: Final { id, fence: row.try_get(1)?, from, reason, error, source: None } })
}

/// Ends jobs one by one. A hook that fails is tried again in the next round and holds up no other job.
async fn end_all(shared: &Shared, conn: &mut PgConnection, lost: Vec<Lost>) -> Result<(), sqlx::Error> {
    for Lost { queue, mut end } in lost {
        let Some(served) = shared.served(&queue) else { continue };
        match fail(conn, &mut end, served.as_ref()).await {
            Ok(_) => {}
            Err(FailError::Hook(hook)) => error!(job = %end.id, queue, error = %hook, "the failure hook failed"),
            Err(FailError::Sql(error)) => return Err(error),
        }
    }
    Ok(())
}
