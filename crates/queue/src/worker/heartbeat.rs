//! Keeps the leases: writes every second that this process lives, and learns which of its leases are lost.
//!
//! A lease lasts as long as its worker's last heartbeat is fresh: one row per worker to renew, however many jobs it runs, and
//! no write to the jobs at all. (To renew the row of every job would cost one row version per second each, and would meet
//! the locks of the acknowledgements.) The heartbeat runs on a thread of its own with a runtime of its own, so neither a
//! handler that blocks nor a drain can stop it.

use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use sqlx::FromRow;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    ack_sender::AckSender, connection::ReconnectingConnection, health::DatabaseHealth, registry::QueueRegistry,
    roster::Roster, shutdown::Shutdown, vital_task::EndGuard,
};
use crate::{
    job::JobId,
    lease::{Claim, LeaseState, StopReason},
    outcome::{Ack, Verdict},
    schema::Schema,
    status::HoldReason,
    timeout::with_timeout,
};

/// Age at which a running job is handed back that this process owns in the table but does not know: the reply to its claim
/// was lost. Longer than such a reply can be under way.
const LOST_CLAIM: Duration = Duration::from_secs(15);

/// The thread that sends heartbeats.
pub(crate) struct Heartbeat {
    pub(crate) schema: Schema,
    /// See [`SupervisorOptions::label`](crate::SupervisorOptions::label).
    pub(crate) label: String,
    pub(crate) interval: Duration,
    pub(crate) queues: Arc<QueueRegistry>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) acks: AckSender,
    pub(crate) health: Arc<DatabaseHealth>,
    pub(crate) wake_claimer: Arc<Notify>,
    /// There is a new queue.
    pub(crate) wake: Arc<Notify>,
    pub(crate) shutdown: Shutdown,
    pub(crate) connection: ReconnectingConnection,
}

/// A job that this process runs, according to the table.
#[derive(FromRow)]
struct RunningRow {
    #[sqlx(try_from = "String")]
    id: JobId,
    fence: i32,
    attempts: i32,
    hold_reason: Option<HoldReason>,
    /// How long it has run, in seconds.
    age: f64,
    worker: String,
}

pub(crate) const BEAT: &str = "
    WITH beat AS (
        INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen, started_at)
        SELECT id, queue, 'queue', $3, clock_timestamp(), clock_timestamp()
        FROM unnest($1::text[], $2::text[]) AS worker (id, queue)
        ON CONFLICT (id) DO UPDATE SET last_seen = clock_timestamp()
    )
    SELECT id, fence, attempts, hold_reason, extract(epoch FROM now() - lock_at)::float8 AS age, lock_by AS worker
    FROM apalis.jobs WHERE status = 'Running' AND lock_by = ANY($1)";
pub(crate) const DEREGISTER: &str = "
    WITH gone AS (DELETE FROM apalis.workers WHERE id = ANY($1))
    UPDATE apalis.jobs SET status = 'Pending', run_at = now(), attempts = attempts - 1, lock_by = NULL, lock_at = NULL
    WHERE status = 'Running' AND lock_by = ANY($1)";

impl Heartbeat {
    /// Starts the thread, which holds the guard. The token is cancelled when it has ended.
    pub(crate) fn start(mut self, end_guard: EndGuard) -> std::io::Result<CancellationToken> {
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("queue-heartbeat".to_owned()).spawn(move || {
            let _ended = (guard, end_guard);
            runtime.block_on(self.run());
        })?;
        Ok(ended)
    }

    async fn run(&mut self) {
        let stop = self.shutdown.stop.clone();
        let mut known = 0;
        while !stop.is_cancelled() {
            let beat = tokio::select! {
                () = stop.cancelled() => break,
                beat = self.beat(&mut known) => beat,
            };
            match beat {
                Ok(()) => tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(self.interval) => {}
                },
                Err(error) => {
                    self.health.failed();
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.connection.failed(&error) => {}
                    }
                }
            }
        }
        if self.shutdown.drained.is_cancelled()
            && let Err(error) = self.deregister().await
        {
            warn!(%error, "could not remove the worker's rows; its leases run out instead");
        }
    }

    /// One heartbeat for all queues. `known`: number of queues that have had one before.
    async fn beat(&mut self, known: &mut usize) -> Result<(), sqlx::Error> {
        let queues = self.queues.all();
        if queues.is_empty() {
            return Ok(());
        }
        let workers: Vec<&str> = queues.iter().map(|queue| queue.worker()).collect();
        let names: Vec<&str> = queues.iter().map(|queue| queue.queue()).collect();
        // Before the table is read: a lease that is added meanwhile is not missed in the rows that were read.
        let held = self.roster.all();
        let query = sqlx::query_as(self.schema.sql(BEAT)).bind(workers).bind(names).bind(&self.label);
        let running = with_timeout(query.fetch_all(self.connection.open().await?)).await?;
        for queue in queues.iter().skip(std::mem::replace(known, queues.len())) {
            // Its worker has a row now, so it may claim.
            queue.mark_pending();
            self.wake_claimer.notify_one();
        }
        self.compare(&held, &running).await;
        Ok(())
    }

    /// Stops attempts whose lease is lost or whose job is cancelled, and hands back jobs that nothing here runs.
    async fn compare(&self, held: &[Arc<LeaseState>], running: &[RunningRow]) {
        let rows: HashMap<(JobId, i32), &RunningRow> = running.iter().map(|row| ((row.id, row.fence), row)).collect();
        for lease in held {
            match rows.get(&(lease.id, lease.fence)) {
                Some(row) if row.hold_reason == Some(HoldReason::Cancel) => lease.stop(StopReason::Cancelled),
                Some(_) => {}
                // Completed by its handler, or acknowledged a moment ago.
                None if lease.is_completed() || !self.roster.holds(lease.id, lease.fence) => {}
                None => lease.stop(StopReason::LeaseLost),
            }
        }
        let is_lost = |row: &&RunningRow| row.age > LOST_CLAIM.as_secs_f64() && !self.roster.holds(row.id, row.fence);
        for row in running.iter().filter(is_lost) {
            let queues = self.queues.all();
            let Some(queue) = queues.iter().find(|queue| queue.worker() == row.worker) else { continue };
            info!(job = %row.id, "handing back a job: the reply to its claim was lost");
            let claim = Claim {
                id: row.id,
                fence: row.fence,
                attempt: row.attempts,
                max_attempts: 1,
                crashes: 0,
                payload: Vec::new(),
            };
            let lease = Arc::new(LeaseState::new(&self.schema, queue.queue(), &claim));
            self.acks.send(Ack { lease, verdict: Verdict::HAND_BACK }).await;
        }
    }

    /// The last statement of a process that has drained: hands back what no attempt runs, and deletes its worker rows.
    async fn deregister(&mut self) -> Result<(), sqlx::Error> {
        let queues = self.queues.all();
        let workers: Vec<&str> = queues.iter().map(|queue| queue.worker()).collect();
        let query = sqlx::query(self.schema.sql(DEREGISTER)).bind(workers);
        with_timeout(query.execute(self.connection.open().await?)).await?;
        Ok(())
    }
}
