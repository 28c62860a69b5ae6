//! Adding jobs, in the transaction that makes them true.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row as _, SqlSafeStr,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::job::{Job, JobId};

/// How a job is queued. The default: at once, priority 0, no key, no lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enqueue {
    pub(super) key: Option<String>,
    pub(super) delay: Duration,
    pub(super) priority: i32,
    pub(super) lane: Option<String>,
    pub(super) max_attempts: Option<u32>,
}

impl Enqueue {
    /// At once, priority 0, no key, no lane.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queue it only if the queue has no job of this key. A key is free again when its job has been pruned.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Run it no earlier than this time from now, by the database's clock.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Jobs of a higher priority come first, whatever their lane. 0 where nothing is said.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Whose job it is. Lanes take turns: a job waits behind the earlier jobs of its own lane, and behind at most one
    /// of every other lane's. Give all jobs of a queue a lane, or none.
    #[must_use]
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.lane = Some(lane.into());
        self
    }

    /// Other than [`Job::MAX_ATTEMPTS`].
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }
}

/// What became of a job that was offered to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is queued, once the caller's transaction commits.
    New(JobId),
    /// The queue has a job of this key already: this one, in whatever state.
    Duplicate(JobId),
}

impl Enqueued {
    /// The job that the queue has now.
    pub fn id(self) -> JobId {
        match self {
            Self::New(id) | Self::Duplicate(id) => id,
        }
    }
}

/// Why a call to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// The job cannot be written as JSON.
    #[error("cannot encode a job of {queue}: {source}")]
    Encode {
        /// The job's queue.
        queue: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// A row holds what no version of this program writes.
    #[error("the queue's table holds {0:?} where a job id belongs")]
    BadId(String),
    /// The job that held the key was pruned while the call looked for it. Nothing was queued: try again.
    #[error("the job that held the key was removed at this moment: try again")]
    KeyReleased,
}

/// Queues one job. It exists when the caller's transaction commits, and workers hear of it then.
///
/// A duplicate is an answer and not an error: the transaction goes on.
pub async fn enqueue<J: Job>(conn: &mut PgConnection, job: &J, options: &Enqueue) -> Result<Enqueued, QueueError> {
    let mut enqueued = enqueue_all(conn, [(job, options)]).await?;
    Ok(enqueued.swap_remove(0))
}

/// Queues many jobs in one statement, and answers for each in the order they came. A thousand a call is a good size.
///
/// Of two jobs of the same key in one call the first is queued.
pub async fn enqueue_all<'a, J: Job>(
    conn: &mut PgConnection,
    jobs: impl IntoIterator<Item = (&'a J, &'a Enqueue)>,
) -> Result<Vec<Enqueued>, QueueError> {
    let mut batch = Batch::default();
    for (id, (job, options)) in JobId::ascending().zip(jobs) {
        let payload = serde_json::to_vec(job).map_err(|source| QueueError::Encode { queue: J::QUEUE, source })?;
        batch.push(id, payload, options, J::MAX_ATTEMPTS);
    }
    if batch.ids.is_empty() {
        return Ok(Vec::new());
    }
    if batch.keys.iter().all(Option::is_none) {
        batch.query(J::QUEUE, INSERT).execute(conn).await?;
        return Ok(batch.ids.into_iter().map(Enqueued::New).collect());
    }
    let new = batch.insert_new(conn, J::QUEUE).await?;
    batch.tell_duplicates(conn, J::QUEUE, &new).await
}

/// The turn of a delayed job is settled when it is due.
const INSERT: &str = "
    WITH new AS (
        SELECT * FROM unnest($2::text[], $3::bytea[], $4::int[], $5::int[], $6::bigint[], $7::text[], $8::text[])
            WITH ORDINALITY AS new (id, job, max_attempts, priority, delay, key, lane, place)
    ), turns AS MATERIALIZED (
        SELECT priority, lane, queue_next_turn($1, priority, lane) AS first
        FROM (SELECT DISTINCT priority, lane FROM new WHERE delay = 0) AS lane
    )
    INSERT INTO apalis.jobs
        (id, job_type, job, status, max_attempts, priority, run_at, hold, idempotency_key, lane, turn)
    SELECT id, $1, job, 'Pending', max_attempts, new.priority, now() + delay * interval '1 microsecond',
        CASE WHEN delay > 0 THEN 'later' END, key, new.lane,
        CASE WHEN delay > 0 THEN 0
             WHEN new.lane IS NULL THEN first
             ELSE first - 1 + row_number() OVER (PARTITION BY new.priority, new.lane, delay > 0 ORDER BY place)
        END
    FROM new LEFT JOIN turns ON turns.priority = new.priority AND turns.lane IS NOT DISTINCT FROM new.lane
    ORDER BY place";

/// The jobs of one statement, column by column.
#[derive(Default)]
struct Batch {
    ids: Vec<JobId>,
    payloads: Vec<Vec<u8>>,
    max_attempts: Vec<i32>,
    priorities: Vec<i32>,
    delays: Vec<i64>,
    keys: Vec<Option<String>>,
    lanes: Vec<Option<String>>,
}

impl Batch {
    fn push(&mut self, id: JobId, payload: Vec<u8>, options: &Enqueue, max_attempts: u32) {
        let max_attempts = options.max_attempts.unwrap_or(max_attempts).max(1);
        self.ids.push(id);
        self.payloads.push(payload);
        self.max_attempts.push(i32::try_from(max_attempts).unwrap_or(i32::MAX));
        self.priorities.push(options.priority);
        self.delays.push(micros(options.delay));
        self.keys.push(options.key.clone());
        self.lanes.push(options.lane.clone());
    }

    /// The statement that inserts them.
    fn query<'q>(&'q self, queue: &'q str, sql: impl SqlSafeStr) -> Query<'q, Postgres, PgArguments> {
        let ids: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
        sqlx::query(sql)
            .bind(queue)
            .bind(ids)
            .bind(&self.payloads)
            .bind(&self.max_attempts)
            .bind(&self.priorities)
            .bind(&self.delays)
            .bind(&self.keys)
            .bind(&self.lanes)
    }

    /// Inserts what has no duplicate; returns the ids that went in. Jobs without a key do without the question, which
    /// costs a fifth of the statement.
    async fn insert_new(&self, conn: &mut PgConnection, queue: &str) -> Result<Vec<String>, sqlx::Error> {
        let sql = format!(
            "{INSERT}
            ON CONFLICT (job_type, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
            RETURNING id"
        );
        self.query(queue, AssertSqlSafe(sql)).try_map(|row: PgRow| row.try_get(0)).fetch_all(conn).await
    }

    /// Looks up the jobs that hold the keys of those that did not go in.
    async fn tell_duplicates(
        self,
        conn: &mut PgConnection,
        queue: &str,
        new: &[String],
    ) -> Result<Vec<Enqueued>, QueueError> {
        let new: HashSet<JobId> = new.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?;
        let mut holders: HashMap<String, JobId> = HashMap::new();
        if new.len() < self.ids.len() {
            let keys: Vec<&str> = self.keys.iter().flatten().map(String::as_str).collect();
            // A new statement, hence a new snapshot: it sees the row that the insert ran into.
            let sql = "SELECT idempotency_key, id FROM apalis.jobs WHERE job_type = $1 AND idempotency_key = ANY($2)";
            for row in sqlx::query(sql).bind(queue).bind(keys).fetch_all(conn).await? {
                holders.insert(row.get(0), parse_id(row.get(1))?);
            }
        }
        let answer = |(id, key): (JobId, Option<String>)| {
            if new.contains(&id) {
                return Ok(Enqueued::New(id));
            }
            let holder = key.and_then(|key| holders.get(&key).copied());
            holder.map(Enqueued::Duplicate).ok_or(QueueError::KeyReleased)
        };
        self.ids.into_iter().zip(self.keys).map(answer).collect()
    }
}

/// A wait as Postgres takes it, in microseconds; a century at most, which keeps `now() + wait` a valid time.
pub(super) fn micros(wait: Duration) -> i64 {
    const CENTURY: Duration = Duration::from_hours(24 * 365 * 100);
    i64::try_from(wait.min(CENTURY).as_micros()).expect("a century in microseconds fits")
}

/// Reads an id that the database gave.
pub(super) fn parse_id(text: &str) -> Result<JobId, QueueError> {
    text.parse().map_err(|_| QueueError::BadId(text.to_owned()))
}
