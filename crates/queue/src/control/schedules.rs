//! Lists cron schedules.

use std::{str::FromStr as _, time::Duration};

use chrono::{DateTime, Utc};
use croner::Cron;
use serde::Serialize;
use sqlx::FromRow;

use super::Control;

/// A schedule that no process has looked at for this long is not listed.
const SEEN_WITHIN: Duration = Duration::from_mins(5);

/// When a schedule runs next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NextRun {
    /// The schedule's name.
    pub name: String,
    /// The queue of its jobs.
    pub queue: String,
    /// Its cron expression, in UTC.
    pub cron: String,
    /// Its newest tick so far, or the one before it was first seen.
    pub last: DateTime<Utc>,
    /// Its next tick by the database's clock. `None`: there is none.
    pub next: Option<DateTime<Utc>>,
}

pub(crate) const SCHEDULES: &str =
    "SELECT name, queue, cron, last_tick, now() FROM apalis.schedules WHERE seen_at > now() - $1::interval";

impl Control<'_> {
    /// The schedules that running processes have, with their next ticks, the nearest first.
    pub async fn next_runs(&mut self) -> Result<Vec<NextRun>, sqlx::Error> {
        #[derive(FromRow)]
        struct Row {
            name: String,
            queue: String,
            cron: String,
            last_tick: DateTime<Utc>,
            now: DateTime<Utc>,
        }
        let rows: Vec<Row> =
            sqlx::query_as(self.schema.sql(SCHEDULES)).bind(SEEN_WITHIN).fetch_all(&mut *self.db).await?;
        let read = |Row { name, queue, cron, last_tick: last, now }: Row| {
            let next = Cron::from_str(&cron).and_then(|cron| cron.find_next_occurrence(&now, false)).ok();
            NextRun { name, queue, cron, last, next }
        };
        let mut runs: Vec<NextRun> = rows.into_iter().map(read).collect();
        runs.sort_by(|a, b| (a.next, &a.name).cmp(&(b.next, &b.name)));
        Ok(runs)
    }
}
