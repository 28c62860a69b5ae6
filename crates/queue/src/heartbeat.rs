//! Keeps the leases: says every second that this process lives, and learns which of its leases are gone.
//!
//! A lease is as good as its worker's last heartbeat: one row to renew for a worker, however many jobs it runs, and no
//! write to the jobs at all. (Renewing every job's row costs a row version a second each, and its locks meet those of
//! the acknowledgements.) The beat is on a thread of its own with a runtime of its own, so that no handler that blocks
//! and no drain can stop it.

use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use sqlx::{PgConnection, Row as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    acknowledge::Ended,
    attempt::Ending,
    enqueue::parse_id,
    job::JobId,
    lease::{Claim, Held, StopReason},
    link::{Link, within},
    supervisor::Shared,
};

/// A running job that this process owns in the table and knows nothing of: the answer to its claim was lost. It is
/// handed back once the claim's answer cannot be under way any more.
const LOST_CLAIM: Duration = Duration::from_secs(15);

/// Starts the thread. The token fires when it has ended.
pub(super) fn start(shared: Arc<Shared>, mut link: Link) -> std::io::Result<CancellationToken> {
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("queue-heartbeat".to_owned()).spawn(move || {
        let _ended = guard;
        runtime.block_on(run(&shared, &mut link));
    })?;
    Ok(ended)
}

async fn run(shared: &Shared, link: &mut Link) {
    let mut known = 0;
    while !shared.stop.is_cancelled() {
        let beat = tokio::select! {
            () = shared.stop.cancelled() => break,
            beat = pass(shared, link, &mut known) => beat,
        };
        match beat {
            Ok(()) => tokio::select! {
                () = shared.stop.cancelled() => {}
                () = shared.heart.notified() => {}
                () = tokio::time::sleep(shared.options.heartbeat) => {}
            },
            Err(error) => {
                shared.disturbed();
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    () = link.failed(&error) => {}
                }
            }
        }
    }
    if shared.drained.is_cancelled()
        && let Err(error) = farewell(shared, link).await
    {
        warn!(%error, "could not sign the worker off; its lease runs out instead");
    }
}

/// One beat. `known`: how many queues have been in one before.
async fn pass(shared: &Shared, link: &mut Link, known: &mut usize) -> Result<(), sqlx::Error> {
    let served = shared.all_served();
    if served.is_empty() {
        return Ok(());
    }
    let workers: Vec<&str> = served.iter().map(|served| served.worker()).collect();
    let queues: Vec<&str> = served.iter().map(|served| served.queue()).collect();
    // The leases of now, before the table is read: one that is entered meanwhile is not missed in what was read.
    let held = shared.roster.all();
    let running = within(beat(link.open().await?, &workers, &queues)).await?;
    for served in served.iter().skip(std::mem::replace(known, served.len())) {
        // It has just been seen for the first time, so that it may claim.
        served.look();
        shared.claimer.notify_one();
    }
    compare(shared, &held, running).await;
    Ok(())
}

/// A job that the table says this process runs.
struct Running {
    id: JobId,
    fence: i32,
    attempt: i32,
    cancelled: bool,
    /// How long it has run.
    age: Duration,
    worker: String,
}

async fn beat(conn: &mut PgConnection, workers: &[&str], queues: &[&str]) -> Result<Vec<Running>, sqlx::Error> {
    let sql = "
        WITH beat AS (
            INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen, started_at)
            SELECT id, queue, 'darkroom', '', clock_timestamp(), clock_timestamp()
            FROM unnest($1::text[], $2::text[]) AS worker (id, queue)
            ON CONFLICT (id) DO UPDATE SET last_seen = clock_timestamp()
        )
        SELECT id, fence, attempts, hold IS NOT DISTINCT FROM 'cancel',
            extract(epoch FROM now() - lock_at)::float8, lock_by
        FROM apalis.jobs WHERE status = 'Running' AND lock_by = ANY($1)";
    let rows = sqlx::query(sql).bind(workers).bind(queues).fetch_all(conn).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(Running {
            id: parse_id(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?,
            fence: row.try_get(1)?,
            attempt: row.try_get(2)?,
            cancelled: row.try_get(3)?,
            age: Duration::try_from_secs_f64(row.try_get(4)?).unwrap_or_default(),
            worker: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Tells attempts whose lease is gone or whose job is cancelled, and hands back jobs that nobody here runs.
async fn compare(shared: &Shared, held: &[Arc<Held>], running: Vec<Running>) {
    let rows: HashMap<(JobId, i32), &Running> = running.iter().map(|row| ((row.id, row.fence), row)).collect();
    for lease in held {
        match rows.get(&(lease.id, lease.fence)) {
            Some(row) if row.cancelled => lease.stop(StopReason::Cancelled),
            Some(_) => {}
            // Completed by its handler, or its end has just been written.
            None if lease.is_completed() || !shared.roster.holds(lease.id, lease.fence) => {}
            None => lease.stop(StopReason::LeaseLost),
        }
    }
    for row in running.iter().filter(|row| row.age > LOST_CLAIM && !shared.roster.holds(row.id, row.fence)) {
        let Some(served) = shared.all_served().into_iter().find(|served| served.worker() == row.worker) else {
            continue;
        };
        info!(job = %row.id, "handing back a job whose claim was never answered");
        let claim = Claim {
            id: row.id,
            fence: row.fence,
            attempt: row.attempt,
            max_attempts: 1,
            crashes: 0,
            payload: Vec::new(),
        };
        let lease = Arc::new(Held::new(served.queue(), &claim));
        shared.end(Ended { lease, ending: Ending::Again { delay: Duration::ZERO, counts: false, error: None } }).await;
    }
}

/// The last act of a process that has drained: hands back what no attempt of it runs, and takes its worker rows away.
async fn farewell(shared: &Shared, link: &mut Link) -> Result<(), sqlx::Error> {
    let sql = "
        WITH gone AS (DELETE FROM apalis.workers WHERE id = ANY($1))
        UPDATE apalis.jobs SET status = 'Pending', run_at = now(), attempts = attempts - 1,
            lock_by = NULL, lock_at = NULL
        WHERE status = 'Running' AND lock_by = ANY($1)";
    let served = shared.all_served();
    let workers: Vec<&str> = served.iter().map(|served| served.worker()).collect();
    within(sqlx::query(sql).bind(workers).execute(link.open().await?)).await?;
    Ok(())
}
