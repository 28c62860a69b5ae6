//! Adding jobs, in the transaction that makes them necessary.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{FromRow, PgConnection, Postgres, postgres::PgArguments, query::Query};

use crate::{
    job::{Job, JobId},
    schema::Schema,
};

/// How a job is enqueued. By default: due at once, priority 0, no key, no lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enqueue {
    key: Option<String>,
    once: Option<String>,
    delay: Duration,
    priority: i32,
    lane: Option<String>,
    max_attempts: Option<u32>,
}

impl Enqueue {
    /// Due at once, priority 0, no key, no lane.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Add the job only if the queue has no job of this key, finished ones included. The key is free again when its job has
    /// been pruned.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Add the job only if the queue has no unfinished job (Pending or Running) of this key. The key is free again when its
    /// job ends. These keys and those of [`Enqueue::key`] are independent of each other.
    #[must_use]
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.once = Some(key.into());
        self
    }

    /// Run it no earlier than this time from now, by the database's clock.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Jobs of a higher priority are claimed first, whatever their lane. The default is 0.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// The tenant, user or source of the job, for fairness. Lanes take turns: a job waits behind the earlier jobs of its
    /// own lane, and behind at most one of every other lane. Give all jobs of a queue a lane, or none.
    #[must_use]
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.lane = Some(lane.into());
        self
    }

    /// In place of [`Job::MAX_ATTEMPTS`]; 1 or more.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }
}

/// The answer to a job that was offered to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The job exists once the caller's transaction commits.
    New(JobId),
    /// Nothing was added: this job has the key.
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

/// Why a job could not be enqueued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A statement failed. The caller's transaction is aborted.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// The job cannot be written as JSON.
    #[error("cannot encode a job of {queue}: {source}")]
    Encode {
        /// The job's queue.
        queue: &'static str,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The job that had the key ended or was pruned during the call. Nothing was added: try again.
    #[error("the job that had the key ended at this moment: try again")]
    KeyReleased,
}

/// Adds one job to its queue in the default schema. It exists when the caller's transaction commits; before that, and after a
/// rollback, nobody sees it.
///
/// Workers find it at their next poll, within about a second, or at once if the caller calls
/// [`Notifier::notify`](crate::Notifier::notify) with [`Job::QUEUE`] after the commit.
///
/// A duplicate is an answer and not an error: the transaction goes on.
pub async fn enqueue<J: Job>(conn: &mut PgConnection, job: &J, how: &Enqueue) -> Result<Enqueued, QueueError> {
    Schema::default().enqueue(conn, job, how).await
}

/// Adds many jobs to their queue in the default schema by one statement. See [`Schema::enqueue_all`].
pub async fn enqueue_all<'a, J: Job>(
    conn: &mut PgConnection,
    jobs: impl IntoIterator<Item = (&'a J, &'a Enqueue)>,
) -> Result<Vec<Enqueued>, QueueError> {
    Schema::default().enqueue_all(conn, jobs).await
}

impl Schema {
    /// [`enqueue`] in this schema.
    pub async fn enqueue<J: Job>(
        &self,
        conn: &mut PgConnection,
        job: &J,
        how: &Enqueue,
    ) -> Result<Enqueued, QueueError> {
        let mut enqueued = self.enqueue_all(conn, [(job, how)]).await?;
        Ok(enqueued.swap_remove(0))
    }

    /// Adds many jobs by one statement, and answers for each in their order. A thousand a call is a good size.
    ///
    /// Of two jobs of the same key in one call the first is added.
    pub async fn enqueue_all<'a, J: Job>(
        &self,
        conn: &mut PgConnection,
        jobs: impl IntoIterator<Item = (&'a J, &'a Enqueue)>,
    ) -> Result<Vec<Enqueued>, QueueError> {
        let mut new = NewJobs::default();
        for (id, (job, how)) in JobId::ascending().zip(jobs) {
            let payload = serde_json::to_vec(job).map_err(|source| QueueError::Encode { queue: J::QUEUE, source })?;
            new.push(id, payload, how, J::MAX_ATTEMPTS);
        }
        if new.ids.is_empty() {
            return Ok(Vec::new());
        }
        if new.keys.iter().chain(&new.once_keys).all(Option::is_none) {
            new.bind(self, J::QUEUE, false).execute(conn).await?;
            return Ok(new.ids.into_iter().map(Enqueued::New).collect());
        }
        let inserted = new.insert_unless_duplicate(self, conn, J::QUEUE).await?;
        new.find_duplicates(self, conn, J::QUEUE, &inserted).await
    }
}

/// The turn of a delayed job is assigned when it is due.
macro_rules! insert {
    ($end:literal) => {
        concat!(
            "
    WITH new AS (
        SELECT * FROM unnest($2::text[], $3::bytea[], $4::int[], $5::int[], $6::bigint[], $7::text[], $8::text[], $9::text[])
            WITH ORDINALITY AS new (id, job, max_attempts, priority, delay, key, once_key, lane, position)
    ), turns AS MATERIALIZED (
        SELECT priority, lane, apalis.next_turn($1, priority, lane) AS first
        FROM (SELECT DISTINCT priority, lane FROM new WHERE delay = 0) AS lane
    )
    INSERT INTO apalis.jobs
        (id, job_type, job, status, max_attempts, priority, run_at, hold_reason, idempotency_key, once_key, lane, turn)
    SELECT id, $1, job, 'Pending', max_attempts, new.priority, now() + delay * interval '1 microsecond',
        CASE WHEN delay > 0 THEN 'delayed' END, key, once_key, new.lane,
        CASE WHEN delay > 0 THEN 0
             WHEN new.lane IS NULL THEN first
             ELSE first - 1 + row_number() OVER (PARTITION BY new.priority, new.lane, delay > 0 ORDER BY position)
        END
    FROM new LEFT JOIN turns ON turns.priority = new.priority AND turns.lane IS NOT DISTINCT FROM new.lane
    ORDER BY position",
            $end
        )
    };
}

/// The same for one job, without arrays: Postgres has less to do.
macro_rules! insert_one {
    ($end:literal) => {
        concat!(
            "
    INSERT INTO apalis.jobs
        (id, job_type, job, status, max_attempts, priority, run_at, hold_reason, idempotency_key, once_key, lane, turn)
    VALUES ($2, $1, $3, 'Pending', $4, $5, now() + $6::bigint * interval '1 microsecond',
        CASE WHEN $6::bigint > 0 THEN 'delayed' END, $7, $8, $9,
        CASE WHEN $6::bigint > 0 THEN 0 ELSE apalis.next_turn($1, $5, $9) END)",
            $end
        )
    };
}

pub(crate) const INSERT: &str = insert!("");
pub(crate) const INSERT_ONE: &str = insert_one!("");
/// Jobs without a key do without the conflict check, which costs a fifth of the statement.
pub(crate) const INSERT_UNLESS_DUPLICATE: &str = insert!(" ON CONFLICT DO NOTHING RETURNING id");
pub(crate) const INSERT_ONE_UNLESS_DUPLICATE: &str = insert_one!(" ON CONFLICT DO NOTHING RETURNING id");
pub(crate) const FIND_KEYS: &str = "
    SELECT id, idempotency_key AS key, false AS once FROM apalis.jobs WHERE job_type = $1 AND idempotency_key = ANY($2)
    UNION ALL
    SELECT id, once_key, true FROM apalis.jobs
    WHERE job_type = $1 AND once_key = ANY($3) AND status IN ('Pending', 'Running')";

/// The jobs of one statement, column by column.
#[derive(Default)]
struct NewJobs {
    ids: Vec<JobId>,
    payloads: Vec<Vec<u8>>,
    max_attempts: Vec<i32>,
    priorities: Vec<i32>,
    delays: Vec<i64>,
    keys: Vec<Option<String>>,
    once_keys: Vec<Option<String>>,
    lanes: Vec<Option<String>>,
}

/// A job that has a key.
#[derive(FromRow)]
struct KeyRow {
    #[sqlx(try_from = "String")]
    id: JobId,
    key: String,
    once: bool,
}

#[derive(FromRow)]
struct IdRow {
    #[sqlx(try_from = "String")]
    id: JobId,
}

impl NewJobs {
    fn push(&mut self, id: JobId, payload: Vec<u8>, how: &Enqueue, max_attempts: u32) {
        let max_attempts = how.max_attempts.unwrap_or(max_attempts).max(1);
        self.ids.push(id);
        self.payloads.push(payload);
        self.max_attempts.push(i32::try_from(max_attempts).unwrap_or(i32::MAX));
        self.priorities.push(how.priority);
        self.delays.push(to_micros(how.delay));
        self.keys.push(how.key.clone());
        self.once_keys.push(how.once.clone());
        self.lanes.push(how.lane.clone());
    }

    fn bind<'q>(&'q self, schema: &Schema, queue: &'q str, unless_duplicate: bool) -> Query<'q, Postgres, PgArguments> {
        if let [id] = self.ids[..] {
            let sql = if unless_duplicate { INSERT_ONE_UNLESS_DUPLICATE } else { INSERT_ONE };
            let query = sqlx::query(schema.sql(sql)).bind(queue).bind(id.to_string()).bind(&self.payloads[0]);
            let query = query.bind(self.max_attempts[0]).bind(self.priorities[0]).bind(self.delays[0]);
            return query.bind(&self.keys[0]).bind(&self.once_keys[0]).bind(&self.lanes[0]);
        }
        let sql = schema.sql(if unless_duplicate { INSERT_UNLESS_DUPLICATE } else { INSERT });
        let ids: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
        sqlx::query(sql)
            .bind(queue)
            .bind(ids)
            .bind(&self.payloads)
            .bind(&self.max_attempts)
            .bind(&self.priorities)
            .bind(&self.delays)
            .bind(&self.keys)
            .bind(&self.once_keys)
            .bind(&self.lanes)
    }

    /// Inserts the jobs whose keys are free; returns their ids.
    async fn insert_unless_duplicate(
        &self,
        schema: &Schema,
        conn: &mut PgConnection,
        queue: &str,
    ) -> Result<HashSet<JobId>, sqlx::Error> {
        let rows = self.bind(schema, queue, true).fetch_all(conn).await?;
        rows.iter().map(|row| IdRow::from_row(row).map(|row| row.id)).collect()
    }

    /// Looks up the jobs that have the keys of those that were not inserted.
    async fn find_duplicates(
        self,
        schema: &Schema,
        conn: &mut PgConnection,
        queue: &str,
        inserted: &HashSet<JobId>,
    ) -> Result<Vec<Enqueued>, QueueError> {
        let mut holders: HashMap<(bool, String), JobId> = HashMap::new();
        if inserted.len() < self.ids.len() {
            let keys: Vec<&str> = self.keys.iter().flatten().map(String::as_str).collect();
            let once_keys: Vec<&str> = self.once_keys.iter().flatten().map(String::as_str).collect();
            // A new statement, hence a new snapshot: it sees the rows that the insert conflicted with.
            let query = sqlx::query_as(schema.sql(FIND_KEYS)).bind(queue).bind(keys).bind(once_keys);
            let rows: Vec<KeyRow> = query.fetch_all(conn).await?;
            holders.extend(rows.into_iter().map(|KeyRow { id, key, once }| ((once, key), id)));
        }
        let keys = self.keys.into_iter().zip(self.once_keys);
        let answer = |(id, (key, once_key)): (JobId, (Option<String>, Option<String>))| {
            if inserted.contains(&id) {
                return Ok(Enqueued::New(id));
            }
            let by_key = key.and_then(|key| holders.get(&(false, key)));
            let holder = by_key.or_else(|| once_key.and_then(|key| holders.get(&(true, key))));
            holder.copied().map(Enqueued::Duplicate).ok_or(QueueError::KeyReleased)
        };
        self.ids.into_iter().zip(keys).map(answer).collect()
    }
}

/// A duration as Postgres takes it, in microseconds; at most a century, so that `now() +` it is a valid time.
pub(crate) fn to_micros(duration: Duration) -> i64 {
    const CENTURY: Duration = Duration::from_hours(24 * 365 * 100);
    i64::try_from(duration.min(CENTURY).as_micros()).expect("a century in microseconds fits")
}
