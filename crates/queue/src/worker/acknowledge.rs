//! Writes what becomes of jobs after their attempts: group commit. All attempts that end while one commit is under way share
//! the next.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{
    ack_sender::AckSender,
    connection::ReconnectingConnection,
    final_failure::{FinalFailure, FinalFailureError},
    registry::QueueRegistry,
    rescue::RescueTimer,
};
use crate::{
    enqueue::to_micros,
    job::BoxError,
    lease::LeaseState,
    notifier::Notifier,
    outcome::{Ack, AttemptError, FailureReason, Verdict},
    schema::Schema,
    status::JobStatus,
    timeout::with_timeout,
};

/// Most acknowledgements in one commit.
const BATCH: usize = 1000;
/// How long to wait before a hook that failed is called again.
const HOOK_PAUSE: Duration = Duration::from_secs(1);

/// The task that writes acknowledgements.
pub(crate) struct Acknowledger {
    pub(crate) schema: Schema,
    pub(crate) queues: Arc<QueueRegistry>,
    pub(crate) acks: AckSender,
    pub(crate) rescue: RescueTimer,
    pub(crate) notifier: Notifier,
    pub(crate) stop: CancellationToken,
    pub(crate) connection: ReconnectingConnection,
}

struct Requeue {
    lease: Arc<LeaseState>,
    delay: Duration,
    attempts: i32,
    error: Option<AttemptError>,
}

/// The acknowledgements of one round, by what is to be written. What is written is taken out, so that after an error only
/// the rest is written again. (One that was written although its reply was lost is refused the second time, without harm.)
#[derive(Default)]
pub(crate) struct AckBatch {
    done: Vec<Arc<LeaseState>>,
    requeue: Vec<Requeue>,
    failed: Vec<(Arc<LeaseState>, FailureReason, AttemptError, Option<BoxError>)>,
    settled: Vec<Arc<LeaseState>>,
    /// The queues of this batch: one with a limit across all processes has room again.
    queues: HashSet<&'static str>,
}

impl AckBatch {
    pub(crate) fn add(&mut self, ack: Ack) {
        let lease = ack.lease;
        self.queues.insert(lease.queue);
        match ack.verdict {
            Verdict::Done => self.done.push(lease),
            Verdict::Settled => self.settled.push(lease),
            Verdict::Requeue { delay, counts, error } => {
                let attempts = lease.attempt - i32::from(!counts);
                self.requeue.push(Requeue { lease, delay, attempts, error });
            }
            Verdict::Failed { reason, error, source } => self.failed.push((lease, reason, error, source)),
        }
    }
}

impl Acknowledger {
    /// Writes until the process stops.
    pub(crate) async fn run(mut self, mut receiver: mpsc::Receiver<Ack>) {
        let mut received = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                count = receiver.recv_many(&mut received, BATCH) => if count == 0 { return },
            }
            let mut batch = AckBatch::default();
            received.drain(..).for_each(|ack| batch.add(ack));
            while let Err(error) = self.write(&mut batch).await {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.connection.failed(&error) => {}
                }
            }
        }
    }

    pub(crate) async fn write(&mut self, batch: &mut AckBatch) -> Result<(), sqlx::Error> {
        if !batch.done.is_empty() {
            let conn = self.connection.open().await?;
            let written = with_timeout(write_done(&self.schema, conn, &batch.done)).await?;
            log_refused(batch.done.len(), written);
        }
        batch.done.drain(..).for_each(|lease| self.acks.settle(&lease));
        if !batch.requeue.is_empty() {
            let conn = self.connection.open().await?;
            let written = with_timeout(write_requeue(&self.schema, conn, &batch.requeue)).await?;
            log_refused(batch.requeue.len(), written);
            let due = batch.requeue.iter().filter(|requeue| requeue.delay.is_zero());
            due.for_each(|requeue| self.notifier.notify(requeue.lease.queue));
            // This process may be the one that runs them next: it need not wait for a notification.
            self.rescue.wake_in(batch.requeue.iter().map(|requeue| requeue.delay).min().unwrap_or_default());
        }
        batch.requeue.drain(..).for_each(|requeue| self.acks.settle(&requeue.lease));
        batch.settled.drain(..).for_each(|lease| self.acks.settle(&lease));
        self.write_failures(batch).await?;
        let is_limited = |queue: &&str| self.queues.get(queue).is_some_and(|queue| queue.is_limited());
        batch.queues.drain().filter(is_limited).for_each(|queue| self.notifier.notify(queue));
        Ok(())
    }

    async fn write_failures(&mut self, batch: &mut AckBatch) -> Result<(), sqlx::Error> {
        while let Some((lease, reason, error, source)) = batch.failed.pop() {
            let (id, fence) = (lease.id, lease.fence);
            let mut failure = FinalFailure { id, fence, from: JobStatus::Running, reason, error, source };
            let Some(queue) = self.queues.get(lease.queue) else { continue };
            let result = match self.connection.open().await {
                Ok(conn) => failure.write(&self.schema, conn, queue.as_ref()).await,
                Err(error) => Err(error.into()),
            };
            match result {
                Ok(_) => self.acks.settle(&lease),
                Err(FinalFailureError::Hook(hook)) => {
                    error!(job = %id, queue = lease.queue, error = %hook, "the failure hook failed: it is called again");
                    let verdict = Verdict::Failed { reason, error: failure.error, source: failure.source };
                    self.acks.send_later(Ack { lease, verdict }, HOOK_PAUSE);
                }
                Err(FinalFailureError::Sql(error)) => {
                    batch.failed.push((lease, reason, failure.error, failure.source));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

fn log_refused(sent: usize, written: u64) {
    if written < sent as u64 {
        debug!(refused = sent as u64 - written, "acknowledgements of lost leases were refused");
    }
}

/// Concatenating '' to the status disables its index; otherwise the planner may choose a join of all running jobs with all
/// acknowledgements, which is quadratic.
pub(crate) const WRITE_DONE: &str = r#"
    UPDATE apalis.jobs AS job
    SET status = 'Done', done_at = now(), hold_reason = NULL, last_result = '{"Ok": null}'
    FROM unnest($1::text[], $2::int[]) AS ack (id, fence)
    WHERE job.id = ack.id AND job.fence = ack.fence AND job.status || '' = 'Running'"#;
/// A suspect stays one: it has not crashed this time, but may the next. The rescue ends a cancelled job. As to the status
/// see [`WRITE_DONE`].
pub(crate) const WRITE_REQUEUE: &str = "
    UPDATE apalis.jobs AS job
    SET status = 'Pending', run_at = now() + ack.delay * interval '1 microsecond',
        attempts = ack.attempts, lock_by = NULL, lock_at = NULL,
        crashes = job.crashes + CASE WHEN ack.kind = 'crash' THEN 1 ELSE 0 END,
        hold_reason = CASE WHEN job.hold_reason IS NOT NULL THEN job.hold_reason
            WHEN ack.delay > 0 THEN 'delayed' END,
        errors = CASE WHEN ack.kind IS NULL THEN job.errors
            ELSE apalis.append_error(job.errors, job.attempts, job.lock_by, ack.kind, ack.message) END,
        last_result = CASE WHEN ack.kind IS NULL THEN job.last_result
            ELSE jsonb_build_object('Err', ack.message) END
    FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::text[], $6::text[])
        AS ack (id, fence, attempts, delay, kind, message)
    WHERE job.id = ack.id AND job.fence = ack.fence AND job.status || '' = 'Running'";

async fn write_done(schema: &Schema, conn: &mut PgConnection, leases: &[Arc<LeaseState>]) -> Result<u64, sqlx::Error> {
    let ids: Vec<String> = leases.iter().map(|lease| lease.id.to_string()).collect();
    let fences: Vec<i32> = leases.iter().map(|lease| lease.fence).collect();
    Ok(sqlx::query(schema.sql(WRITE_DONE)).bind(ids).bind(fences).execute(conn).await?.rows_affected())
}

async fn write_requeue(schema: &Schema, conn: &mut PgConnection, acks: &[Requeue]) -> Result<u64, sqlx::Error> {
    let ids: Vec<String> = acks.iter().map(|ack| ack.lease.id.to_string()).collect();
    let fences: Vec<i32> = acks.iter().map(|ack| ack.lease.fence).collect();
    let attempts: Vec<i32> = acks.iter().map(|ack| ack.attempts).collect();
    let delays: Vec<i64> = acks.iter().map(|ack| to_micros(ack.delay)).collect();
    let errors = || acks.iter().map(|ack| ack.error.as_ref());
    let kinds: Vec<Option<&str>> = errors().map(|error| error.map(|error| error.kind.as_str())).collect();
    let messages: Vec<Option<&str>> = errors().map(|error| error.map(|error| error.message.as_str())).collect();
    let query = sqlx::query(schema.sql(WRITE_REQUEUE)).bind(ids).bind(fences).bind(attempts).bind(delays);
    Ok(query.bind(kinds).bind(messages).execute(conn).await?.rows_affected())
}
