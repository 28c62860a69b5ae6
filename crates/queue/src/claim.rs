//! Claims due jobs, as many as there are free slots, for all queues of this process.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgRow};
use tracing::{info, warn};

use super::{
    backoff::jittered,
    enqueue::parse_id,
    frontier::{Frontiers, Place},
    inbox::Served,
    job::JobId,
    lease::{Claim, Held},
    link::{Link, within},
    supervisor::Shared,
};

/// How long a suspect is kept from other processes while this one makes room for it.
const RESERVATION: Duration = Duration::from_mins(1);

/// Claims until the process drains.
pub(super) async fn run(shared: Arc<Shared>, mut link: Link) {
    let mut next_poll = tokio::time::Instant::now();
    let mut frontiers = Frontiers::default();
    while !shared.draining.is_cancelled() {
        let round = async {
            if next_poll <= tokio::time::Instant::now() {
                next_poll = tokio::time::Instant::now() + jittered(shared.options.poll);
                shared.look_everywhere();
                learn_limits(&shared, &mut link).await?;
                run_suspect(&shared, &mut link).await?;
            }
            claim_round(&shared, &mut link, &mut frontiers).await
        };
        match round.await {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = shared.claimer.notified() => {}
                () = tokio::time::sleep_until(next_poll) => {}
                () = shared.draining.cancelled() => {}
            },
            Err(error) => {
                link.failed(&error).await;
                shared.look_everywhere();
            }
        }
    }
}

/// One claim for each queue that has room and may have jobs. Whether another round may find more.
async fn claim_round(shared: &Shared, link: &mut Link, frontiers: &mut Frontiers) -> Result<bool, sqlx::Error> {
    let mut more = false;
    for served in shared.all_served() {
        let limit = claim_size(served.room());
        // Forgotten before the claim: what comes while the claim runs is remembered.
        if limit == 0 || !served.take_look() {
            continue;
        }
        let conn = link.open().await?;
        let from = frontiers.place(served.queue()).cloned();
        let Claimed { claims, last } = if served.is_limited() {
            let claims = within(claim_limited(conn, shared, served.as_ref(), limit)).await?;
            Claimed { claims, last: None }
        } else {
            within(claim(conn, shared, served.as_ref(), limit, false, from.as_ref())).await?
        };
        let full = claims.len() == limit;
        frontiers.claimed(served.queue(), from.as_ref(), last.filter(|_| full));
        if full || from.is_some() {
            served.look();
            more |= served.room() > 0;
        } else if served.is_limited() {
            // Perhaps it is the limit that has stopped the claim: an end makes room for another.
            served.look();
        }
        take_in(shared, served.as_ref(), claims).await;
    }
    Ok(more)
}

/// How many jobs to claim for this much room. The limit is written into the statement, for a limit in a parameter makes
/// the planner guess a tenth of the table; so that there are few statements, large ones are rounded down.
fn claim_size(room: usize) -> usize {
    match room {
        0..=16 => room,
        17..=128 => room - room % 16,
        _ => (room - room % 128).min(1024),
    }
}

/// Enters claimed jobs in the roster and hands them to their queue.
async fn take_in(shared: &Shared, served: &dyn Served, claims: Vec<Claim>) {
    for claim in claims {
        let lease = Arc::new(Held::new(served.queue(), &claim));
        shared.roster.enter(Arc::clone(&lease));
        if let Some(ended) = served.deliver(&lease, &claim.payload) {
            shared.end(ended).await;
        }
    }
}

const TAKE: &str = "
    UPDATE apalis.jobs AS job
    SET status = 'Running', lock_by = $2, lock_at = now(), attempts = attempts + 1, fence = fence + 1
    FROM due WHERE job.id = due.id
    RETURNING job.id, job.fence, job.attempts, job.max_attempts, job.crashes, job.job, job.priority, job.turn, job.run_at";

/// Learns which queues have a limit across all processes.
async fn learn_limits(shared: &Shared, link: &mut Link) -> Result<(), sqlx::Error> {
    let sql = "SELECT queue FROM queue_settings WHERE running_limit IS NOT NULL";
    let limited: Vec<String> = within(sqlx::query_scalar(sql).fetch_all(link.open().await?)).await?;
    for served in shared.all_served() {
        served.set_limited(limited.iter().any(|queue| queue == served.queue()));
    }
    Ok(())
}

/// Locks the setting of a limited queue until the transaction ends, and tells how many more of its jobs may run in all
/// processes together. The lock is what makes the number true: claims of the queue take turns. It is a statement of its
/// own, so that the count that follows sees what the holder before has committed.
async fn fleet_room(tx: &mut PgConnection, queue: &str) -> Result<Option<usize>, sqlx::Error> {
    let lock = "SELECT running_limit FROM queue_settings WHERE queue = $1 AND running_limit IS NOT NULL FOR UPDATE";
    let Some(limit) = sqlx::query_scalar::<_, i32>(lock).bind(queue).fetch_optional(&mut *tx).await? else {
        return Ok(None);
    };
    let count = "SELECT count(*) FROM apalis.jobs WHERE job_type = $1 AND status = 'Running'";
    let running: i64 = sqlx::query_scalar(count).bind(queue).fetch_one(tx).await?;
    Ok(Some(usize::try_from(i64::from(limit) - running).unwrap_or(0)))
}

/// A claim from a queue with a limit across all processes.
pub(super) async fn claim_limited(
    conn: &mut PgConnection,
    shared: &Shared,
    served: &dyn Served,
    limit: usize,
) -> Result<Vec<Claim>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let limit = match fleet_room(&mut tx, served.queue()).await? {
        Some(room) => claim_size(room.min(limit)),
        None => limit,
    };
    let claims = if limit == 0 { Vec::new() } else { claim(&mut tx, shared, served, limit, true, None).await?.claims };
    tx.commit().await?;
    Ok(claims)
}

/// What one claim has given.
struct Claimed {
    claims: Vec<Claim>,
    /// Where it ended, if it has given any.
    last: Option<Place>,
}

/// `counted`: the limit respects a limit across all processes. Else a queue that has one gives nothing, so that one that
/// was set this moment is kept by processes that have not learnt of it. `from`: where to begin, else at the head.
async fn claim(
    conn: &mut PgConnection,
    shared: &Shared,
    served: &dyn Served,
    limit: usize,
    counted: bool,
    from: Option<&Place>,
) -> Result<Claimed, sqlx::Error> {
    let behind = if from.is_some() { "AND priority = $5 AND (turn, run_at, id) > ($6, $7, $8)" } else { "" };
    // Only a worker whose own heartbeat is fresh may claim: one that wakes from a long sleep first shows that it lives.
    let sql = format!(
        "WITH due AS MATERIALIZED (
            SELECT id FROM apalis.jobs
            WHERE job_type = $1 AND status = 'Pending' AND hold IS NULL AND run_at <= now() {behind}
              AND EXISTS (SELECT FROM apalis.workers WHERE id = $2 AND last_seen > now() - $3)
              AND NOT EXISTS (SELECT FROM queue_settings WHERE queue = $1
                AND (paused_at IS NOT NULL OR running_limit IS NOT NULL AND NOT $4))
            ORDER BY priority DESC, turn, run_at, id LIMIT {limit} FOR UPDATE SKIP LOCKED
        ) {TAKE}"
    );
    let query =
        sqlx::query(AssertSqlSafe(sql)).bind(served.queue()).bind(served.worker()).bind(shared.options.lease / 2);
    let mut query = query.bind(counted);
    if let Some(Place { priority, turn, run_at, id }) = from {
        query = query.bind(priority).bind(turn).bind(run_at).bind(id.to_string());
    }
    let rows = query.fetch_all(conn).await?;
    let places = rows.iter().map(read_place).collect::<Result<Vec<_>, _>>()?;
    Ok(Claimed {
        claims: rows.iter().map(read_claim).collect::<Result<_, _>>()?,
        last: places.into_iter().max_by_key(Place::order),
    })
}

fn read_id(row: &PgRow) -> Result<JobId, sqlx::Error> {
    parse_id(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn read_place(row: &PgRow) -> Result<Place, sqlx::Error> {
    Ok(Place { priority: row.try_get(6)?, turn: row.try_get(7)?, run_at: row.try_get(8)?, id: read_id(row)? })
}

fn read_claim(row: &PgRow) -> Result<Claim, sqlx::Error> {
    Ok(Claim {
        id: read_id(row)?,
        fence: row.try_get(1)?,
        attempt: row.try_get(2)?,
        max_attempts: row.try_get(3)?,
        crashes: row.try_get(4)?,
        payload: row.try_get(5)?,
    })
}

/// Runs one suspect, if one is due: a job whose workers died, and which one more crash would quarantine. It runs alone in
/// its process, so that a crash convicts it and no job beside it.
///
/// While this process finishes what it runs, a reservation (a `run_at` a little ahead) keeps others from doing the same
/// for the same suspect; if this process ends meanwhile, the reservation lapses and nothing is lost.
async fn run_suspect(shared: &Shared, link: &mut Link) -> Result<(), sqlx::Error> {
    let polled: Vec<_> = shared.all_served().into_iter().filter(|served| served.is_polled()).collect();
    if polled.is_empty() {
        return Ok(());
    }
    let queues: Vec<&str> = polled.iter().map(|served| served.queue()).collect();
    let Some((id, queue)) = within(reserve_suspect(link.open().await?, &queues)).await? else { return Ok(()) };
    let Some(served) = polled.iter().find(|served| served.queue() == queue) else { return Ok(()) };

    info!(job = %id, queue, "a job whose workers died before is about to run alone");
    loop {
        tokio::select! {
            () = shared.draining.cancelled() => return Ok(()),
            () = shared.roster.emptied() => break,
            () = tokio::time::sleep(RESERVATION / 3) => within(keep_reservation(link.open().await?, id)).await?,
        }
    }
    let claims = within(claim_suspect(link.open().await?, shared, served.as_ref(), id)).await?;
    take_in(shared, served.as_ref(), claims).await;
    tokio::select! {
        () = shared.draining.cancelled() => {}
        () = shared.roster.emptied() => {}
    }
    Ok(())
}

async fn reserve_suspect(conn: &mut PgConnection, queues: &[&str]) -> Result<Option<(JobId, String)>, sqlx::Error> {
    let sql = "
        UPDATE apalis.jobs SET run_at = now() + $2
        WHERE id = (
            SELECT id FROM apalis.jobs
            WHERE job_type = ANY($1) AND status = 'Pending' AND hold = 'suspect' AND run_at <= now()
              AND NOT EXISTS (SELECT FROM queue_settings WHERE queue = job_type AND paused_at IS NOT NULL)
            ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, job_type";
    let row = sqlx::query(sql).bind(queues).bind(RESERVATION).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((read_id(&row)?, row.try_get(1)?)))
}

async fn keep_reservation(conn: &mut PgConnection, id: JobId) -> Result<(), sqlx::Error> {
    let sql = "UPDATE apalis.jobs SET run_at = now() + $2 WHERE id = $1 AND status = 'Pending' AND hold = 'suspect'";
    sqlx::query(sql).bind(id.to_string()).bind(RESERVATION).execute(conn).await?;
    Ok(())
}

pub(super) async fn claim_suspect(
    conn: &mut PgConnection,
    shared: &Shared,
    served: &dyn Served,
    id: JobId,
) -> Result<Vec<Claim>, sqlx::Error> {
    let sql = format!(
        "WITH due AS MATERIALIZED (
            SELECT id FROM apalis.jobs WHERE id = $1 AND status = 'Pending' AND hold = 'suspect'
              AND NOT EXISTS (SELECT FROM queue_settings WHERE queue = job_type AND paused_at IS NOT NULL)
              AND EXISTS (SELECT FROM apalis.workers WHERE id = $2 AND last_seen > now() - $3)
            FOR UPDATE SKIP LOCKED
        ) {TAKE}"
    );
    let mut tx = conn.begin().await?;
    if fleet_room(&mut tx, served.queue()).await? == Some(0) {
        // Its reservation lapses, and its time comes again.
        return Ok(Vec::new());
    }
    let query =
        sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(served.worker()).bind(shared.options.lease / 2);
    let claims: Vec<Claim> = query.fetch_all(&mut *tx).await?.iter().map(read_claim).collect::<Result<_, _>>()?;
    tx.commit().await?;
    if claims.is_empty() {
        warn!(job = %id, "a suspect was taken or cancelled, or its queue paused, meanwhile");
    }
    Ok(claims)
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
