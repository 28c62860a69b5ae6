//! What operators see and change. Plain SQL: it works from any process, with or without workers, and workers follow it
//! within about a second.

mod check;
mod jobs;
mod prune;
mod schedules;

use std::{num::NonZeroU16, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

pub use self::{
    check::Warning,
    jobs::{JobDetail, JobFilter, JobSummary, PastError, Payload},
    prune::Pruned,
    schedules::NextRun,
};
#[cfg(test)]
pub(crate) use self::{check::*, jobs::*, prune::*, schedules::*};
pub use crate::status::{HoldReason, JobStatus};
use crate::{job::JobId, schema::Schema};

/// The operator's functions, on a connection or in a transaction.
///
/// Functions that change a job or a queue return whether there was one in the state they start from. Workers see the change at
/// their next poll, or after the commit and [`Notifier::notify`](crate::Notifier::notify).
#[derive(Debug)]
pub struct Control<'c> {
    db: &'c mut PgConnection,
    schema: Schema,
}

/// A killed job that is back in its queue.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct Revived {
    /// Its queue.
    pub queue: String,
    /// Its payload, JSON.
    pub payload: Vec<u8>,
}

/// The state of a queue.
#[derive(Clone, Debug, PartialEq, FromRow, Serialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Its name.
    pub queue: String,
    /// Jobs that the next free slots take.
    pub ready: i64,
    /// Jobs that wait for their `run_at`.
    pub delayed: i64,
    /// Jobs that workers run.
    pub running: i64,
    /// Jobs whose workers died, and which are to run alone.
    pub suspects: i64,
    /// How long the oldest ready job has been due, in seconds.
    pub oldest_due: Option<f64>,
    /// Processes that work on it.
    pub workers: i64,
    /// When it was paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Maximum of its jobs that run at once in all processes together.
    pub running_limit: Option<i32>,
}

pub(crate) const PAUSE: &str = "
    INSERT INTO apalis.settings AS setting (queue, paused_at) VALUES ($1, now())
    ON CONFLICT (queue) DO UPDATE SET paused_at = now() WHERE setting.paused_at IS NULL";
pub(crate) const RESUME: &str = "
    UPDATE apalis.settings SET paused_at = NULL WHERE queue = $1 AND paused_at IS NOT NULL";
pub(crate) const LIMIT: &str = "
    INSERT INTO apalis.settings AS setting (queue, running_limit)
    SELECT $1::text, $2::integer WHERE $2 IS NOT NULL OR EXISTS (SELECT FROM apalis.settings WHERE queue = $1)
    ON CONFLICT (queue) DO UPDATE SET running_limit = $2 WHERE setting.running_limit IS DISTINCT FROM $2";
pub(crate) const CANCEL: &str =
    "UPDATE apalis.jobs SET hold_reason = 'cancel' WHERE id = $1 AND status IN ('Pending', 'Running')";
pub(crate) const RETRY: &str = "
    UPDATE apalis.jobs AS job SET status = 'Pending', run_at = now(), attempts = 0, crashes = 0, lock_by = NULL,
        lock_at = NULL, done_at = NULL, reason = NULL, turn = apalis.next_turn(job_type, priority, lane)
    WHERE id = $1 AND status = 'Killed' AND reason <> 'quarantined'
      AND NOT EXISTS (SELECT FROM apalis.jobs AS other WHERE other.job_type = job.job_type
        AND other.once_key = job.once_key AND other.status IN ('Pending', 'Running'))
    RETURNING job_type AS queue, job AS payload";
/// [`RETRY`] for many keys. The turns go on from each lane's last one, as those of jobs that are enqueued together.
pub(crate) const RETRY_KEYS: &str = "
    WITH chosen AS MATERIALIZED (
        SELECT id, priority, lane, row_number() OVER (PARTITION BY priority, lane ORDER BY id) AS position
        FROM apalis.jobs AS job
        WHERE job_type = $1 AND idempotency_key = ANY($2) AND status = 'Killed' AND reason <> 'quarantined'
          AND NOT EXISTS (SELECT FROM apalis.jobs AS other WHERE other.job_type = job.job_type
            AND other.once_key = job.once_key AND other.status IN ('Pending', 'Running'))
    ), turns AS MATERIALIZED (
        SELECT priority, lane, apalis.next_turn($1, priority, lane) AS first
        FROM (SELECT DISTINCT priority, lane FROM chosen) AS lane
    )
    UPDATE apalis.jobs AS job SET status = 'Pending', run_at = now(), attempts = 0, crashes = 0, lock_by = NULL,
        lock_at = NULL, done_at = NULL, reason = NULL,
        turn = CASE WHEN chosen.lane IS NULL THEN first ELSE first - 1 + position END
    FROM chosen JOIN turns ON turns.priority = chosen.priority AND turns.lane IS NOT DISTINCT FROM chosen.lane
    WHERE job.id = chosen.id AND job.status = 'Killed' AND job.reason <> 'quarantined'
    RETURNING job.idempotency_key";
pub(crate) const LABELS: &str = "
    SELECT layers FROM apalis.workers
    WHERE storage_name = 'queue' AND worker_type = $1 AND last_seen > now() - $2::interval";
/// Errors count against `max_attempts` by `attempts - crashes`.
pub(crate) const RELEASE: &str = "
    UPDATE apalis.jobs AS job SET status = 'Pending', hold_reason = 'suspect', run_at = now(), attempts = crashes,
        lock_by = NULL, lock_at = NULL, done_at = NULL, reason = NULL
    WHERE id = $1 AND status = 'Killed' AND reason = 'quarantined'
      AND NOT EXISTS (SELECT FROM apalis.jobs AS other WHERE other.job_type = job.job_type
        AND other.once_key = job.once_key AND other.status IN ('Pending', 'Running'))
    RETURNING job_type AS queue, job AS payload";
pub(crate) const REPRIORITISE: &str = "
    UPDATE apalis.jobs SET priority = $2,
        turn = CASE WHEN hold_reason IS NULL THEN apalis.next_turn(job_type, $2, lane) ELSE turn END
    WHERE id = $1 AND status = 'Pending'";
pub(crate) const STATS: &str = "
    WITH ready AS (
        SELECT job_type AS queue, count(*) AS ready, min(run_at) AS oldest
        FROM apalis.jobs WHERE status = 'Pending' AND hold_reason IS NULL GROUP BY 1
    ), held AS (
        SELECT job_type AS queue, count(*) FILTER (WHERE hold_reason = 'delayed') AS delayed,
            count(*) FILTER (WHERE hold_reason = 'suspect') AS suspects
        FROM apalis.jobs WHERE status = 'Pending' AND hold_reason IS NOT NULL GROUP BY 1
    ), running AS (
        SELECT job_type AS queue, count(*) AS running FROM apalis.jobs WHERE status = 'Running' GROUP BY 1
    ), alive AS (
        SELECT worker_type AS queue, count(*) AS workers
        FROM apalis.workers WHERE storage_name = 'queue' AND last_seen > now() - $1::interval GROUP BY 1
    )
    SELECT queue, coalesce(ready, 0) AS ready, coalesce(delayed, 0) AS delayed, coalesce(running, 0) AS running,
        coalesce(suspects, 0) AS suspects, coalesce(workers, 0) AS workers, paused_at, running_limit,
        CASE WHEN oldest IS NOT NULL THEN greatest(extract(epoch FROM now() - oldest)::float8, 0) END AS oldest_due
    FROM ready FULL JOIN held USING (queue) FULL JOIN running USING (queue) FULL JOIN alive USING (queue)
        FULL JOIN apalis.settings USING (queue)
    ORDER BY queue";

impl<'c> Control<'c> {
    /// In the default schema.
    pub fn new(db: &'c mut PgConnection) -> Self {
        Self { db, schema: Schema::default() }
    }

    /// In another schema.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Workers claim nothing more from the queue until [`Control::resume`]; running jobs go on. `false`: it was paused
    /// already.
    pub async fn pause(&mut self, queue: &str) -> Result<bool, sqlx::Error> {
        Ok(sqlx::query(self.schema.sql(PAUSE)).bind(queue).execute(&mut *self.db).await?.rows_affected() == 1)
    }

    /// Ends a [`Control::pause`]. `false`: it was not paused.
    pub async fn resume(&mut self, queue: &str) -> Result<bool, sqlx::Error> {
        Ok(sqlx::query(self.schema.sql(RESUME)).bind(queue).execute(&mut *self.db).await?.rows_affected() == 1)
    }

    /// Limits how many jobs of a queue run at once in all processes together; `None` removes the limit, and each process
    /// keeps its own concurrency. Running jobs go on; the next claim follows the new limit. `false`: it was so already.
    pub async fn limit(&mut self, queue: &str, running: Option<NonZeroU16>) -> Result<bool, sqlx::Error> {
        let running = running.map(|running| i32::from(running.get()));
        let query = sqlx::query(self.schema.sql(LIMIT)).bind(queue).bind(running);
        Ok(query.execute(&mut *self.db).await?.rows_affected() == 1)
    }

    /// Ends a job as cancelled, by a worker of its queue and with its failure hook. A running attempt is asked to stop, and
    /// dropped if it does not; a waiting job never runs. `false`: there is no such job, or it has ended.
    pub async fn cancel(&mut self, id: JobId) -> Result<bool, sqlx::Error> {
        Ok(sqlx::query(self.schema.sql(CANCEL)).bind(id.to_string()).execute(&mut *self.db).await?.rows_affected() == 1)
    }

    /// Puts a killed job back into its queue, with all its attempts; its errors stay on record. To undo what its failure
    /// hook has done is up to the caller, in the same transaction. `None`: it is not killed, it is quarantined (see
    /// [`Control::release`]), or another unfinished job has its [`once`](crate::Enqueue::once) key.
    pub async fn retry(&mut self, id: JobId) -> Result<Option<Revived>, sqlx::Error> {
        sqlx::query_as(self.schema.sql(RETRY)).bind(id.to_string()).fetch_optional(&mut *self.db).await
    }

    /// [`Control::retry`] of the jobs of a queue that have these [keys](crate::Enqueue::key), by one statement. Returns the
    /// keys of those that are back in the queue. A thousand keys a call is a good size.
    pub async fn retry_keys(&mut self, queue: &str, keys: &[String]) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(self.schema.sql(RETRY_KEYS)).bind(queue).bind(keys).fetch_all(&mut *self.db).await
    }

    /// The [label](crate::SupervisorOptions::label) of every worker of a queue whose last heartbeat is younger than `within`.
    /// Empty for a worker without one.
    pub async fn labels(&mut self, queue: &str, within: Duration) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(self.schema.sql(LABELS)).bind(queue).bind(within).fetch_all(&mut *self.db).await
    }

    /// Puts a quarantined job back into its queue as a suspect: it runs alone, with all its attempts, and one more crash
    /// quarantines it again. As to hooks and keys see [`Control::retry`]. `None`: it is not in quarantine.
    pub async fn release(&mut self, id: JobId) -> Result<Option<Revived>, sqlx::Error> {
        sqlx::query_as(self.schema.sql(RELEASE)).bind(id.to_string()).fetch_optional(&mut *self.db).await
    }

    /// Gives a pending job another priority, behind its lane's jobs of that priority. `false`: it is not pending.
    pub async fn reprioritise(&mut self, id: JobId, priority: i32) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(self.schema.sql(REPRIORITISE)).bind(id.to_string()).bind(priority);
        Ok(query.execute(&mut *self.db).await?.rows_affected() == 1)
    }

    /// The state of every queue that has unfinished jobs, workers or settings. Counts its jobs: about a second for
    /// millions. `lease` is that of the workers, see [`SupervisorOptions::lease`](crate::SupervisorOptions::lease).
    pub async fn stats(&mut self, lease: Duration) -> Result<Vec<QueueStats>, sqlx::Error> {
        sqlx::query_as(self.schema.sql(STATS)).bind(lease).fetch_all(&mut *self.db).await
    }
}
