//! Cron schedules: one job at every tick, however many processes have the schedule.
//!
//! The clock is the database's, in UTC. The row of a schedule holds its newest tick. The transaction that advances it also
//! enqueues the job, so only one of all processes that see a tick enqueues it, and no tick returns when its job is pruned.
//! Ticks that passed while no process ran are made up by one job: the newest tick's.

use std::{
    str::FromStr as _,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use croner::{Cron, errors::CronError};
use futures::{FutureExt as _, future::BoxFuture};
use sqlx::{Acquire as _, PgConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::connection::ReconnectingConnection;
use crate::{
    enqueue::{Enqueue, Enqueued, QueueError},
    job::Job,
    notifier::Notifier,
    schema::Schema,
    timeout::with_timeout,
};

/// Longest time between two passes: the clock may be set, and a row must show that its schedule is in use.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// A connection is worth keeping for a wait this short.
const KEEP_CONNECTION: Duration = Duration::from_secs(10);

type EnqueueTick = Box<
    dyn for<'a> Fn(&'a Schema, &'a mut PgConnection, Enqueue) -> BoxFuture<'a, Result<Enqueued, QueueError>>
        + Send
        + Sync,
>;

/// A schedule of this process.
struct Schedule {
    name: String,
    queue: &'static str,
    cron: Cron,
    pattern: String,
    enqueue: EnqueueTick,
}

/// A text that is not a cron expression, or one that matches no time, such as the 30th of February.
#[derive(Debug, thiserror::Error)]
#[error("schedule {name}: {pattern:?} is not a cron expression that matches any time")]
pub struct ScheduleError {
    name: String,
    pattern: String,
    source: CronError,
}

/// The schedules of this process.
#[derive(Default)]
pub(crate) struct ScheduleRegistry(RwLock<Vec<Arc<Schedule>>>);

impl ScheduleRegistry {
    pub(crate) fn add<J: Job>(
        &self,
        name: &str,
        pattern: &str,
        job: impl Fn() -> J + Send + Sync + 'static,
    ) -> Result<(), ScheduleError> {
        let invalid = |source| ScheduleError { name: name.to_owned(), pattern: pattern.to_owned(), source };
        let cron = Cron::from_str(pattern).map_err(invalid)?;
        cron.find_next_occurrence(&Utc::now(), false).map_err(invalid)?;
        let enqueue: EnqueueTick = Box::new(move |schema, conn, how| {
            let job = job();
            async move { schema.enqueue(conn, &job, &how).await }.boxed()
        });
        let (name, pattern) = (name.to_owned(), pattern.to_owned());
        let schedule = Schedule { name, queue: J::QUEUE, cron, pattern, enqueue };
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(schedule));
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Schedule>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task that enqueues scheduled jobs.
pub(crate) struct Scheduler {
    pub(crate) schema: Schema,
    pub(crate) schedules: Arc<ScheduleRegistry>,
    /// There is a new schedule.
    pub(crate) wake: Arc<Notify>,
    pub(crate) notifier: Notifier,
    pub(crate) draining: CancellationToken,
    pub(crate) connection: ReconnectingConnection,
}

pub(crate) const CLOCK: &str = "SELECT clock_timestamp()";
pub(crate) const WRITE_SEEN: &str = "
    INSERT INTO apalis.schedules (name, queue, cron, last_tick, seen_at) VALUES ($1, $2, $3, $4, now())
    ON CONFLICT (name) DO UPDATE SET queue = $2, cron = $3, seen_at = now()";
pub(crate) const ADVANCE_TICK: &str = "UPDATE apalis.schedules SET last_tick = $2 WHERE name = $1 AND last_tick < $2";

impl Scheduler {
    /// Enqueues what is due until the process drains.
    pub(crate) async fn run(mut self) {
        let draining = self.draining.clone();
        loop {
            let result = tokio::select! {
                () = draining.cancelled() => return,
                result = self.pass() => result,
            };
            let wake = Arc::clone(&self.wake);
            let wait = async {
                match result {
                    Ok(wait) => tokio::time::sleep(wait).await,
                    Err(error) => self.connection.failed(&error).await,
                }
            };
            tokio::select! {
                () = draining.cancelled() => return,
                () = wake.notified() => {}
                () = wait => {}
            }
        }
    }

    /// Checks every schedule once. Returns how long nothing will be due.
    async fn pass(&mut self) -> Result<Duration, sqlx::Error> {
        let mut wait = MAX_WAIT;
        for schedule in self.schedules.all() {
            let (is_enqueued, next) = schedule.enqueue_due(&self.schema, self.connection.open().await?).await?;
            if is_enqueued {
                self.notifier.notify(schedule.queue);
            }
            wait = wait.min(next);
        }
        if wait > KEEP_CONNECTION {
            self.connection.close().await;
        }
        Ok(wait)
    }
}

impl Schedule {
    /// Enqueues the newest tick, if no process has. Returns whether it did, and the time until the next.
    async fn enqueue_due(&self, schema: &Schema, conn: &mut PgConnection) -> Result<(bool, Duration), sqlx::Error> {
        let mut is_enqueued = false;
        let mut tx = with_timeout(conn.begin()).await?;
        let now: DateTime<Utc> = with_timeout(sqlx::query_scalar(CLOCK).fetch_one(&mut *tx)).await?;
        if let Ok(tick) = self.cron.find_previous_occurrence(&now.trunc_subsecs(0), true)
            && with_timeout(self.advance(schema, &mut tx, tick)).await?
        {
            // The key shows the tick to whoever reads the table.
            let key = format!("{}@{}", self.name, tick.to_rfc3339_opts(SecondsFormat::Secs, true));
            let enqueued = async { Ok((self.enqueue)(schema, &mut tx, Enqueue::new().key(key)).await) };
            match with_timeout(enqueued).await? {
                Ok(_) => {
                    is_enqueued = true;
                    info!(schedule = self.name, queue = self.queue, %tick, "enqueued by schedule");
                }
                Err(QueueError::Sql(error)) => return Err(error),
                Err(error) => error!(schedule = self.name, %error, "cannot enqueue a scheduled job"),
            }
        }
        with_timeout(tx.commit()).await?;
        let next = self.cron.find_next_occurrence(&now, false);
        let wait = next.ok().and_then(|next| (next - now).to_std().ok()).unwrap_or(MAX_WAIT);
        // A millisecond more, or the tick is not quite due at the next pass.
        Ok((is_enqueued, wait.min(MAX_WAIT) + Duration::from_millis(1)))
    }

    /// Advances the schedule's row to a tick. `false`: it is there already, or beyond. A schedule that is seen for the first
    /// time starts with its next tick.
    async fn advance(
        &self,
        schema: &Schema,
        conn: &mut PgConnection,
        tick: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let seen = sqlx::query(schema.sql(WRITE_SEEN)).bind(&self.name).bind(self.queue).bind(&self.pattern);
        seen.bind(tick).execute(&mut *conn).await?;
        let advanced = sqlx::query(schema.sql(ADVANCE_TICK)).bind(&self.name).bind(tick).execute(conn).await?;
        Ok(advanced.rows_affected() == 1)
    }
}
