//! Writes how attempts ended: group commit. All that ended while one commit was under way share the next.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tracing::{debug, error};

use super::{
    attempt::Ending,
    enqueue::micros,
    failure::{AttemptError, FailError, Final, fail},
    job::BoxError,
    lease::Held,
    link::{Link, within},
    supervisor::Shared,
};
use crate::failure::FailureReason;

/// Most ends in one commit.
const BATCH: usize = 1000;
/// How long to wait before a hook that failed is tried again.
const HOOK_PAUSE: Duration = Duration::from_secs(1);

/// The end of an attempt.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) lease: Arc<Held>,
    pub(super) ending: Ending,
}

/// Writes ends until the channel closes or the process stops.
pub(super) async fn run(shared: Arc<Shared>, mut ends: mpsc::Receiver<Ended>, mut link: Link) {
    let mut received = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            count = ends.recv_many(&mut received, BATCH) => if count == 0 { return },
        }
        let mut batch = Batch::default();
        received.drain(..).for_each(|ended| batch.sort_in(ended));
        while let Err(error) = batch.write(&shared, &mut link).await {
            tokio::select! {
                () = shared.stop.cancelled() => return,
                () = link.failed(&error) => {}
            }
        }
    }
}

struct Again {
    lease: Arc<Held>,
    delay: Duration,
    attempts: i32,
    error: Option<AttemptError>,
}

/// The ends of one round, by what is to be written. What is written is taken out, so that after an error only the rest
/// is written again. (An end that was written while its answer got lost is refused the second time, to no harm.)
#[derive(Default)]
pub(super) struct Batch {
    done: Vec<Arc<Held>>,
    again: Vec<Again>,
    failed: Vec<(Arc<Held>, FailureReason, AttemptError, Option<BoxError>)>,
    settled: Vec<Arc<Held>>,
    /// Queues with ends in here: one with a limit across all processes has room again.
    queues: HashSet<&'static str>,
}

impl Batch {
    pub(super) fn sort_in(&mut self, ended: Ended) {
        let lease = ended.lease;
        self.queues.insert(lease.queue);
        match ended.ending {
            Ending::Done => self.done.push(lease),
            Ending::Settled => self.settled.push(lease),
            Ending::Again { delay, counts, error } => {
                let attempts = lease.attempt - i32::from(!counts);
                self.again.push(Again { lease, delay, attempts, error });
            }
            Ending::Failed { reason, error, source } => self.failed.push((lease, reason, error, source)),
        }
    }

    pub(super) async fn write(&mut self, shared: &Arc<Shared>, link: &mut Link) -> Result<(), sqlx::Error> {
        if !self.done.is_empty() {
            let written = within(write_done(link.open().await?, &self.done)).await?;
            note_refused(self.done.len(), written);
        }
        self.done.drain(..).for_each(|lease| shared.settle(&lease));
        if !self.again.is_empty() {
            let written = within(write_again(link.open().await?, &self.again)).await?;
            note_refused(self.again.len(), written);
            // This process may be the one that takes them up again: it need not wait to hear of it.
            shared.due_in(self.again.iter().map(|again| again.delay).min().unwrap_or_default());
        }
        self.again.drain(..).for_each(|again| shared.settle(&again.lease));
        self.settled.drain(..).for_each(|lease| shared.settle(&lease));
        while let Some((lease, reason, error, source)) = self.failed.pop() {
            let mut end = Final { id: lease.id, fence: lease.fence, from: "Running", reason, error, source };
            let Some(served) = shared.served(lease.queue) else { continue };
            let result = match link.open().await {
                Ok(conn) => fail(conn, &mut end, served.as_ref()).await,
                Err(error) => Err(error.into()),
            };
            match result {
                Ok(_) => shared.settle(&lease),
                Err(FailError::Hook(hook)) => {
                    error!(job = %lease.id, queue = lease.queue, error = %hook, "the failure hook failed: trying again");
                    let ending = Ending::Failed { reason, error: end.error, source: end.source };
                    shared.end_later(Ended { lease, ending }, HOOK_PAUSE);
                }
                Err(FailError::Sql(error)) => {
                    self.failed.push((lease, reason, end.error, end.source));
                    return Err(error);
                }
            }
        }
        let limited = |queue: &&str| shared.served(queue).is_some_and(|served| served.is_limited());
        let freed: Vec<&str> = self.queues.drain().filter(limited).collect();
        if !freed.is_empty() {
            let sql = "SELECT pg_notify('darkroom_queue', queue)::text FROM unnest($1::text[]) AS queue";
            within(sqlx::query(sql).bind(freed).execute(link.open().await?)).await?;
        }
        Ok(())
    }
}

fn note_refused(sent: usize, written: u64) {
    if written < sent as u64 {
        debug!(refused = sent as u64 - written, "ends of lost leases were refused");
    }
}

// In the two statements below the status is compared in a way that no index answers. Else the planner may take all running
// jobs from theirs, and hold each against each end: the square of what is to be written.

async fn write_done(conn: &mut PgConnection, leases: &[Arc<Held>]) -> Result<u64, sqlx::Error> {
    let sql = r#"
        UPDATE apalis.jobs AS job
        SET status = 'Done', done_at = now(), hold = NULL, last_result = '{"Ok": null}'
        FROM unnest($1::text[], $2::int[]) AS ended (id, fence)
        WHERE job.id = ended.id AND job.fence = ended.fence AND job.status || '' = 'Running'"#;
    let ids: Vec<String> = leases.iter().map(|lease| lease.id.to_string()).collect();
    let fences: Vec<i32> = leases.iter().map(|lease| lease.fence).collect();
    Ok(sqlx::query(sql).bind(ids).bind(fences).execute(conn).await?.rows_affected())
}

async fn write_again(conn: &mut PgConnection, ends: &[Again]) -> Result<u64, sqlx::Error> {
    // A suspect stays one: it has not crashed this time, and may the next. A cancelled job goes to the rescue.
    let sql = "
        WITH again AS (
            UPDATE apalis.jobs AS job
            SET status = 'Pending', run_at = now() + ended.delay * interval '1 microsecond',
                attempts = ended.attempts, lock_by = NULL, lock_at = NULL,
                crashes = job.crashes + CASE WHEN ended.kind = 'crash' THEN 1 ELSE 0 END,
                hold = CASE WHEN job.hold IS NOT NULL THEN job.hold WHEN ended.delay > 0 THEN 'later' END,
                errors = CASE WHEN ended.kind IS NULL THEN job.errors
                    ELSE queue_add_error(job.errors, job.attempts, job.lock_by, ended.kind, ended.message) END,
                last_result = CASE WHEN ended.kind IS NULL THEN job.last_result
                    ELSE jsonb_build_object('Err', ended.message) END
            FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::text[], $6::text[])
                AS ended (id, fence, attempts, delay, kind, message)
            WHERE job.id = ended.id AND job.fence = ended.fence AND job.status || '' = 'Running'
            RETURNING job.job_type, job.hold
        )
        SELECT count(*), count(pg_notify('darkroom_queue', job_type)) FILTER (WHERE hold IS NULL) FROM again";
    let ids: Vec<String> = ends.iter().map(|end| end.lease.id.to_string()).collect();
    let fences: Vec<i32> = ends.iter().map(|end| end.lease.fence).collect();
    let attempts: Vec<i32> = ends.iter().map(|end| end.attempts).collect();
    let delays: Vec<i64> = ends.iter().map(|end| micros(end.delay)).collect();
    let kinds: Vec<Option<&str>> = ends.iter().map(|end| end.error.as_ref().map(|error| error.kind.as_str())).collect();
    let messages: Vec<Option<&str>> =
        ends.iter().map(|end| end.error.as_ref().map(|error| error.message.as_str())).collect();
    let query = sqlx::query_scalar(sql).bind(ids).bind(fences).bind(attempts).bind(delays).bind(kinds).bind(messages);
    let written: i64 = query.fetch_one(conn).await?;
    Ok(written.unsigned_abs())
}
