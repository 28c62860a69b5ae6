//! What an operator sees of the queue, and what they can tell it. Plain SQL: it works from any process, with or without
//! workers, and workers heed it within about a second.
//!
//! Functions that change a job return whether there was one in the state they start from.

use std::{fmt, num::NonZeroU16, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, Row as _};

use super::{enqueue::parse_id, failure::ErrorKind, job::JobId};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits.
    Pending,
    /// A worker has it.
    Running,
    /// It succeeded.
    Done,
    /// It failed for good.
    Killed,
}

impl JobStatus {
    /// The word for it in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Done => "Done",
            Self::Killed => "Killed",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no [`JobStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a status: pending, running, done or killed is expected")]
pub struct NotAStatus;

impl FromStr for JobStatus {
    type Err = NotAStatus;

    /// In any case.
    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let known = [Self::Pending, Self::Running, Self::Done, Self::Killed];
        known.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text)).ok_or(NotAStatus)
    }
}

impl TryFrom<String> for JobStatus {
    type Error = NotAStatus;

    fn try_from(text: String) -> Result<Self, NotAStatus> {
        text.parse()
    }
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only this queue's.
    pub queue: Option<String>,
    /// Only those that stand there.
    pub status: Option<JobStatus>,
    /// Only jobs older than this one: the last of the page before.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: i64,
}

/// A job in a list.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct JobSummary {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub status: JobStatus,
    /// Why it is not claimed in turn: `later`, `suspect` or `cancel`.
    pub hold: Option<String>,
    /// Why it was killed: the word of a [`FailureReason`](super::FailureReason).
    pub reason: Option<String>,
    /// Higher comes first.
    pub priority: i32,
    /// Whose it is.
    pub lane: Option<String>,
    /// What no other job of its queue may have.
    pub key: Option<String>,
    /// Runs that count.
    pub attempts: i32,
    /// How many of them may end in an error.
    pub max_attempts: i32,
    /// How many ended with their worker's death.
    pub crashes: i32,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// Not before.
    pub run_at: DateTime<Utc>,
    /// Since when it runs, or when its last run began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done or killed.
    pub ended_at: Option<DateTime<Utc>>,
    /// Which worker runs it, or ran it last.
    pub worker: Option<String>,
}

/// A job with everything that is known of it.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct JobDetail {
    /// What a list has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub summary: JobSummary,
    /// What it carries; `null` where that is no JSON.
    #[sqlx(try_from = "Vec<u8>")]
    pub payload: Payload,
    /// What went wrong, oldest first, the last 20.
    #[sqlx(json)]
    pub errors: Vec<PastError>,
}

/// What a job carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Payload(pub serde_json::Value);

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

/// How one attempt went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastError {
    /// Which attempt, from 1.
    pub attempt: i32,
    /// In what way.
    pub kind: ErrorKind,
    /// For operators, not for clients.
    pub message: String,
    /// Where it ran.
    pub worker: Option<String>,
    /// When it was written.
    pub at: DateTime<Utc>,
}

const SUMMARY: &str = "
    id, job_type AS queue, status, hold, reason, priority, lane, idempotency_key AS key, attempts, max_attempts, crashes,
    created_at, run_at, lock_at AS started_at, done_at AS ended_at, lock_by AS worker";

/// Jobs, newest first.
pub async fn list(db: &mut PgConnection, filter: &JobFilter) -> Result<Vec<JobSummary>, sqlx::Error> {
    let sql = format!(
        "SELECT {SUMMARY} FROM apalis.jobs
         WHERE ($1::text IS NULL OR job_type = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(&filter.queue).bind(filter.status.map(JobStatus::as_str));
    query.bind(filter.before.map(|id| id.to_string())).bind(filter.limit).fetch_all(db).await
}

/// One job. `None`: there is none, or it was pruned.
pub async fn show(db: &mut PgConnection, id: JobId) -> Result<Option<JobDetail>, sqlx::Error> {
    let sql =
        format!("SELECT {SUMMARY}, job AS payload, coalesce(errors, '[]') AS errors FROM apalis.jobs WHERE id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(db).await
}

/// The job of a queue that has this key, in whatever state.
pub async fn find(db: &mut PgConnection, queue: &str, key: &str) -> Result<Option<JobId>, sqlx::Error> {
    let sql = "SELECT id FROM apalis.jobs WHERE job_type = $1 AND idempotency_key = $2";
    let id: Option<String> = sqlx::query_scalar(sql).bind(queue).bind(key).fetch_optional(db).await?;
    id.map(|id| parse_id(&id).map_err(|error| sqlx::Error::Decode(error.into()))).transpose()
}

/// Has workers claim nothing more from a queue until [`resume`]; what runs goes on. `false`: it was paused already.
pub async fn pause(db: &mut PgConnection, queue: &str) -> Result<bool, sqlx::Error> {
    let sql = "
        INSERT INTO queue_settings (queue, paused_at) VALUES ($1, now())
        ON CONFLICT (queue) DO UPDATE SET paused_at = now() WHERE queue_settings.paused_at IS NULL";
    Ok(sqlx::query(sql).bind(queue).execute(db).await?.rows_affected() == 1)
}

/// Ends a [`pause`]. `false`: it was not paused.
pub async fn resume(db: &mut PgConnection, queue: &str) -> Result<bool, sqlx::Error> {
    let sql = "
        WITH resumed AS (
            UPDATE queue_settings SET paused_at = NULL WHERE queue = $1 AND paused_at IS NOT NULL RETURNING queue
        )
        SELECT pg_notify('darkroom_queue', queue)::text FROM resumed";
    Ok(sqlx::query(sql).bind(queue).fetch_optional(db).await?.is_some())
}

/// Bounds how many jobs of a queue run at once in all processes together; `None`: no bound but each process's own. What
/// runs goes on; workers claim by the new bound at once. `false`: it was so already.
pub async fn limit(db: &mut PgConnection, queue: &str, running: Option<NonZeroU16>) -> Result<bool, sqlx::Error> {
    let sql = "
        WITH changed AS (
            INSERT INTO queue_settings AS setting (queue, running_limit)
            SELECT $1, $2 WHERE $2 IS NOT NULL OR EXISTS (SELECT FROM queue_settings WHERE queue = $1)
            ON CONFLICT (queue) DO UPDATE SET running_limit = $2 WHERE setting.running_limit IS DISTINCT FROM $2
            RETURNING queue
        )
        SELECT pg_notify('darkroom_queue', queue)::text FROM changed";
    let query = sqlx::query(sql).bind(queue).bind(running.map(|running| i32::from(running.get())));
    Ok(query.fetch_optional(db).await?.is_some())
}

/// Has a job end as cancelled. A running one is told, and dropped if it does not stop; one that waits never runs. A
/// worker of its queue ends it, with the queue's failure hook. `false`: it is not there, or has ended.
pub async fn cancel(db: &mut PgConnection, id: JobId) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE apalis.jobs SET hold = 'cancel' WHERE id = $1 AND status IN ('Pending', 'Running')";
    Ok(sqlx::query(sql).bind(id.to_string()).execute(db).await?.rows_affected() == 1)
}

/// A killed job that is back in its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revived {
    /// Its queue.
    pub queue: String,
    /// What it carries, in JSON.
    pub payload: Vec<u8>,
}

/// Queues a killed job again, with all its attempts; what went wrong stays on record. Undoing what its failure hook has
/// done is the caller's, in the same transaction. `None`: it is not killed, or quarantined (see [`release`]).
pub async fn retry(db: &mut PgConnection, id: JobId) -> Result<Option<Revived>, sqlx::Error> {
    let sql = "
        WITH again AS (
            UPDATE apalis.jobs SET status = 'Pending', run_at = now(), attempts = 0, crashes = 0, lock_by = NULL,
                lock_at = NULL, done_at = NULL, reason = NULL, turn = queue_next_turn(job_type, priority, lane)
            WHERE id = $1 AND status = 'Killed' AND reason <> 'quarantined'
            RETURNING job_type, job
        )
        SELECT job_type, job, pg_notify('darkroom_queue', job_type)::text FROM again";
    revive(db, sql, id).await
}

/// Lets a job out of quarantine. It stays a suspect: it runs alone, with all its attempts, and one more crash brings it
/// back. For the rest see [`retry`]. `None`: it is not in quarantine.
pub async fn release(db: &mut PgConnection, id: JobId) -> Result<Option<Revived>, sqlx::Error> {
    // Errors count against `max_attempts` by `attempts - crashes`.
    let sql = "
        UPDATE apalis.jobs SET status = 'Pending', hold = 'suspect', run_at = now(), attempts = crashes, lock_by = NULL,
            lock_at = NULL, done_at = NULL, reason = NULL
        WHERE id = $1 AND status = 'Killed' AND reason = 'quarantined'
        RETURNING job_type, job";
    revive(db, sql, id).await
}

async fn revive(db: &mut PgConnection, sql: &'static str, id: JobId) -> Result<Option<Revived>, sqlx::Error> {
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(db).await?;
    row.map(|row| Ok(Revived { queue: row.try_get(0)?, payload: row.try_get(1)? })).transpose()
}

/// Gives a waiting job another priority, at the end of its lane's jobs of that priority. `false`: it does not wait.
pub async fn reprioritise(db: &mut PgConnection, id: JobId, priority: i32) -> Result<bool, sqlx::Error> {
    let sql = "
        UPDATE apalis.jobs SET priority = $2,
            turn = CASE WHEN hold IS NULL THEN queue_next_turn(job_type, $2, lane) ELSE turn END
        WHERE id = $1 AND status = 'Pending'";
    Ok(sqlx::query(sql).bind(id.to_string()).bind(priority).execute(db).await?.rows_affected() == 1)
}

/// How a queue stands.
#[derive(Clone, Debug, PartialEq, FromRow, Serialize)]
pub struct QueueStats {
    /// Its name.
    pub queue: String,
    /// Jobs that the next free slots take.
    pub ready: i64,
    /// Jobs that wait for their time.
    pub delayed: i64,
    /// Jobs that workers have.
    pub running: i64,
    /// Jobs whose workers died, and which are to run alone.
    pub suspects: i64,
    /// How long the oldest ready job has been due, in seconds.
    pub oldest_due: Option<f64>,
    /// Processes that work on it.
    pub workers: i64,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// The most of its jobs that run at once in all processes together.
    pub running_limit: Option<i32>,
}

/// How every queue stands that has unfinished jobs, workers or settings. Counts them: a second for millions. `lease` is
/// how long a worker is believed alive after its last heartbeat.
pub async fn stats(db: &mut PgConnection, lease: Duration) -> Result<Vec<QueueStats>, sqlx::Error> {
    let sql = "
        WITH ready AS (
            SELECT job_type AS queue, count(*) AS ready, min(run_at) AS oldest
            FROM apalis.jobs WHERE status = 'Pending' AND hold IS NULL GROUP BY 1
        ), held AS (
            SELECT job_type AS queue, count(*) FILTER (WHERE hold = 'later') AS delayed,
                count(*) FILTER (WHERE hold = 'suspect') AS suspects
            FROM apalis.jobs WHERE status = 'Pending' AND hold IS NOT NULL GROUP BY 1
        ), running AS (
            SELECT job_type AS queue, count(*) AS running FROM apalis.jobs WHERE status = 'Running' GROUP BY 1
        ), alive AS (
            SELECT worker_type AS queue, count(*) AS workers
            FROM apalis.workers WHERE storage_name = 'darkroom' AND last_seen > now() - $1 GROUP BY 1
        )
        SELECT queue, coalesce(ready, 0) AS ready, coalesce(delayed, 0) AS delayed, coalesce(running, 0) AS running,
            coalesce(suspects, 0) AS suspects, coalesce(workers, 0) AS workers, paused_at, running_limit,
            CASE WHEN oldest IS NOT NULL THEN greatest(extract(epoch FROM now() - oldest)::float8, 0) END AS oldest_due
        FROM ready FULL JOIN held USING (queue) FULL JOIN running USING (queue) FULL JOIN alive USING (queue)
            FULL JOIN queue_settings USING (queue)
        ORDER BY queue";
    sqlx::query_as(sql).bind(lease).fetch_all(db).await
}
