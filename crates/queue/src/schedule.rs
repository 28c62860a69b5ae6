//! Cron schedules: a job at every tick, once however many processes look at the clock.
//!
//! The clock is the database's, in UTC. A schedule's row holds its newest tick; the transaction that moves it on also
//! queues the job, so of all processes that see a tick one queues it, and pruning the job brings no tick back. Ticks
//! that nobody was there for are caught up by one job: the newest tick's.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use croner::{Cron, errors::CronError};
use futures::{FutureExt as _, future::BoxFuture};
use serde::Serialize;
use sqlx::{Acquire as _, FromRow, PgConnection};
use tracing::{error, info};

use super::{
    enqueue::{Enqueue, Enqueued, QueueError, enqueue},
    job::Job,
    link::{Link, within},
    supervisor::Shared,
};

/// Longest time between two looks: clocks are set, and a schedule shows that it is still carried.
const LOOK: Duration = Duration::from_mins(1);
/// A schedule that no process has looked at for so long is not carried any more.
const CARRIED: Duration = Duration::from_mins(5);

type Add =
    Box<dyn for<'a> Fn(&'a mut PgConnection, Enqueue) -> BoxFuture<'a, Result<Enqueued, QueueError>> + Send + Sync>;

/// A schedule that this process carries.
pub(super) struct Schedule {
    name: String,
    queue: &'static str,
    cron: Cron,
    pattern: String,
    add: Add,
}

impl Schedule {
    pub(super) fn new<J: Job>(
        name: &str,
        pattern: &str,
        job: impl Fn() -> J + Send + Sync + 'static,
    ) -> Result<Self, ScheduleError> {
        let bad = |source| ScheduleError { name: name.to_owned(), pattern: pattern.to_owned(), source };
        let cron = Cron::from_str(pattern).map_err(bad)?;
        // Such as the 30th of February.
        cron.find_next_occurrence(&Utc::now(), false).map_err(bad)?;
        let add: Add = Box::new(move |conn, options| {
            let job = job();
            async move { enqueue(conn, &job, &options).await }.boxed()
        });
        Ok(Self { name: name.to_owned(), queue: J::QUEUE, cron, pattern: pattern.to_owned(), add })
    }
}

/// A text that is no cron expression, or one that never comes true.
#[derive(Debug, thiserror::Error)]
#[error("schedule {name}: {pattern:?} is no cron expression that comes true")]
pub struct ScheduleError {
    name: String,
    pattern: String,
    source: CronError,
}

/// When a schedule runs next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextRun {
    /// The schedule's name.
    pub name: String,
    /// Where its jobs go.
    pub queue: String,
    /// Its cron expression, in UTC.
    pub cron: String,
    /// Its newest tick so far, or the one before it was first seen.
    pub last: DateTime<Utc>,
    /// Its next tick by the database's clock. `None`: there is none.
    pub next: Option<DateTime<Utc>>,
}

/// The schedules that running processes carry, with their next ticks, the nearest first.
pub async fn next_runs(db: &mut PgConnection) -> Result<Vec<NextRun>, sqlx::Error> {
    #[derive(FromRow)]
    struct Row {
        name: String,
        queue: String,
        cron: String,
        last_tick: DateTime<Utc>,
        now: DateTime<Utc>,
    }
    let sql = "SELECT name, queue, cron, last_tick, now() FROM queue_schedules WHERE seen_at > now() - $1";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(CARRIED).fetch_all(db).await?;
    let read = |Row { name, queue, cron, last_tick: last, now }: Row| {
        let next = Cron::from_str(&cron).and_then(|cron| cron.find_next_occurrence(&now, false)).ok();
        NextRun { name, queue, cron, last, next }
    };
    let mut runs: Vec<NextRun> = rows.into_iter().map(read).collect();
    runs.sort_by(|a, b| (a.next, &a.name).cmp(&(b.next, &b.name)));
    Ok(runs)
}

/// Queues what is due until the process drains.
pub(super) async fn run(shared: Arc<Shared>, mut link: Link) {
    loop {
        let result = tokio::select! {
            () = shared.draining.cancelled() => return,
            result = pass(&shared, &mut link) => result,
        };
        let wait = async {
            match result {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) => link.failed(&error).await,
            }
        };
        tokio::select! {
            () = shared.draining.cancelled() => return,
            () = shared.ticks.notified() => {}
            () = wait => {}
        }
    }
}

/// One look at the clock for every schedule. Returns how long nothing is due.
async fn pass(shared: &Shared, link: &mut Link) -> Result<Duration, sqlx::Error> {
    let mut wait = LOOK;
    for schedule in shared.all_schedules() {
        wait = wait.min(look(link.open().await?, &schedule).await?);
    }
    // A connection is worth keeping for seconds only.
    if wait > Duration::from_secs(10) {
        link.close().await;
    }
    Ok(wait)
}

async fn look(conn: &mut PgConnection, schedule: &Schedule) -> Result<Duration, sqlx::Error> {
    let mut tx = within(conn.begin()).await?;
    let now: DateTime<Utc> = within(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *tx)).await?;
    if let Ok(tick) = schedule.cron.find_previous_occurrence(&now.trunc_subsecs(0), true)
        && within(take(&mut tx, schedule, tick)).await?
    {
        // The key names the tick to whoever reads the table.
        let key = format!("{}@{}", schedule.name, tick.to_rfc3339_opts(SecondsFormat::Secs, true));
        match within(async { Ok((schedule.add)(&mut tx, Enqueue::new().key(key)).await) }).await? {
            Ok(_) => info!(schedule = schedule.name, queue = schedule.queue, %tick, "queued by schedule"),
            Err(QueueError::Sql(error)) => return Err(error),
            Err(error) => error!(schedule = schedule.name, %error, "cannot queue a scheduled job"),
        }
    }
    within(tx.commit()).await?;
    let next = schedule.cron.find_next_occurrence(&now, false);
    let wait = next.ok().and_then(|next| (next - now).to_std().ok()).unwrap_or(LOOK);
    // A millisecond more, or the tick is not quite due when the next look comes.
    Ok(wait.min(LOOK) + Duration::from_millis(1))
}

/// Moves a schedule on to a tick. `false`: it was there, or beyond. A schedule that is seen for the first time starts
/// with its next tick.
async fn take(conn: &mut PgConnection, schedule: &Schedule, tick: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let seen = "
        INSERT INTO queue_schedules (name, queue, cron, last_tick, seen_at) VALUES ($1, $2, $3, $4, now())
        ON CONFLICT (name) DO UPDATE SET queue = $2, cron = $3, seen_at = now()";
    let query = sqlx::query(seen).bind(&schedule.name).bind(schedule.queue).bind(&schedule.pattern);
    query.bind(tick).execute(&mut *conn).await?;
    let moved = "UPDATE queue_schedules SET last_tick = $2 WHERE name = $1 AND last_tick < $2";
    Ok(sqlx::query(moved).bind(&schedule.name).bind(tick).execute(conn).await?.rows_affected() == 1)
}
