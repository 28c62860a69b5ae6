//! How a process works on its queues.

use std::{fmt, sync::Arc, time::Duration};

use crate::{backoff::Backoff, schema::Schema};

/// How many jobs may run at once now.
#[derive(Clone)]
struct Limit(Arc<dyn Fn() -> usize + Send + Sync>);

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").finish_non_exhaustive()
    }
}

/// How this process works on one queue.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    concurrency: usize,
    limit: Option<Limit>,
    pub(crate) prefetch: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) backoff: Backoff,
    pub(crate) takes_over_idle: bool,
}

impl QueueOptions {
    /// At most `concurrency` jobs at once in this process, 1 or more. No prefetch, no deadline, the default [`Backoff`], no
    /// job taken over.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self {
            concurrency: concurrency.max(1),
            limit: None,
            prefetch: 0,
            deadline: None,
            backoff: Backoff::default(),
            takes_over_idle: false,
        }
    }

    /// Asks this function before each claim how many jobs this process should have at once: 1 at least, the concurrency at most.
    /// For jobs of which more are worth having the more they wait for something else than this process. A claim then takes a
    /// quarter of that number or more, so three quarters of it must suffice to keep the process busy.
    #[must_use]
    pub fn limited_by(mut self, limit: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.limit = Some(Limit(Arc::new(limit)));
        self
    }

    /// How many jobs may run at once now.
    pub(crate) fn concurrency(&self) -> usize {
        self.limit.as_ref().map_or(self.concurrency, |Limit(limit)| limit().clamp(1, self.concurrency))
    }

    /// How many free slots a claim waits for: with a limit that leaves some jobs waiting a quarter of it, so that a claim takes
    /// several jobs.
    pub(crate) fn min_room(&self) -> usize {
        if self.limit.is_some() { (self.concurrency() / 4).max(1) } else { 1 }
    }

    /// This process takes over jobs that wait in other processes with the same label, when it has free slots, no job of the queue
    /// is due, and none of its own attempts waits. See [`Lease::announce_idle`](crate::Lease::announce_idle).
    #[must_use]
    pub fn take_over_idle(mut self) -> Self {
        self.takes_over_idle = true;
        self
    }

    /// Number of jobs claimed ahead of free slots. Worth it for jobs of a few milliseconds only: a job claimed ahead waits
    /// in this process even when another is idle.
    #[must_use]
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.prefetch = jobs;
        self
    }

    /// Longest time an attempt may run. What takes longer is dropped, and the attempt counts.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

/// How this process works on all its queues. All processes of a schema must use the same `lease`.
#[derive(Clone, Debug)]
pub struct SupervisorOptions {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) schema: Schema,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) poll: Duration,
    pub(crate) pooler: bool,
    pub(crate) max_crashes: u16,
    pub(crate) stop_timeout: Duration,
    pub(crate) retention: Retention,
    pub(crate) thresholds: Thresholds,
}

impl SupervisorOptions {
    /// `name` is the process's name in the table, for operators; a random part is appended, so that no name is used twice.
    ///
    /// The rest: the default [`Schema`], a lease of 6 s, a heartbeat and a poll every second, no pooler, 3 crashes, a stop
    /// timeout of 10 s, the default [`Retention`] and [`Thresholds`]. A crash is noticed after at most 8 s.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            label: String::new(),
            schema: Schema::default(),
            lease: Duration::from_secs(6),
            heartbeat: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            pooler: false,
            max_crashes: 3,
            stop_timeout: Duration::from_secs(10),
            retention: Retention::default(),
            thresholds: Thresholds::default(),
        }
    }

    /// A text about this process that other processes can read while it is alive, for example what it has room for: see
    /// [`Control::labels`](crate::control::Control::labels). Kept in the column `layers` of the workers' table. Empty by
    /// default.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The schema of the tables.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// How long a worker counts as alive after its last heartbeat. Sets the heartbeat to a sixth of it.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self.heartbeat = lease / 6;
        self
    }

    /// Time between two heartbeats, also the longest between two looks for due and lost jobs. A fraction of the lease;
    /// call it after [`SupervisorOptions::lease`].
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Time between two claims that no notification has caused, give or take a quarter.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Whether the database is reached through a pooler that gives out connections by the transaction. Then there is no
    /// LISTEN, and a job waits for up to five quarters of `poll`.
    #[must_use]
    pub fn pooler(mut self, pooler: bool) -> Self {
        self.pooler = pooler;
        self
    }

    /// How many workers may die while they run a job. Before the last of these crashes the job runs alone; after it, the
    /// job is quarantined.
    #[must_use]
    pub fn max_crashes(mut self, crashes: u16) -> Self {
        self.max_crashes = crashes;
        self
    }

    /// How long an attempt may go on after it was asked to stop because its job is cancelled or its lease lost. Then its
    /// future is dropped.
    #[must_use]
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// How long finished jobs are kept.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// When to log a warning.
    #[must_use]
    pub fn thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }
}

/// How long finished jobs are kept, and how many. Their keys are free again when they are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub(crate) done: Duration,
    pub(crate) killed: Duration,
    pub(crate) max_jobs: u32,
}

impl Default for Retention {
    /// Done jobs 7 days, Killed ones 30 days; a million jobs.
    fn default() -> Self {
        Self { done: Duration::from_hours(24 * 7), killed: Duration::from_hours(24 * 30), max_jobs: 1_000_000 }
    }
}

impl Retention {
    /// How long jobs are kept that are Done.
    #[must_use]
    pub fn done(mut self, age: Duration) -> Self {
        self.done = age;
        self
    }

    /// How long jobs are kept that are Killed.
    #[must_use]
    pub fn killed(mut self, age: Duration) -> Self {
        self.killed = age;
        self
    }

    /// Maximum number of rows, unfinished jobs included; 1 or more. Above it the oldest finished jobs are pruned, whatever
    /// their age.
    #[must_use]
    pub fn max_jobs(mut self, jobs: u32) -> Self {
        self.max_jobs = jobs;
        self
    }
}

/// When something is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub(crate) late: Duration,
    pub(crate) horizon: Duration,
}

impl Default for Thresholds {
    /// Five minutes each.
    fn default() -> Self {
        Self { late: Duration::from_mins(5), horizon: Duration::from_mins(5) }
    }
}

impl Thresholds {
    /// Warn when a due job has waited longer than this.
    #[must_use]
    pub fn late(mut self, late: Duration) -> Self {
        self.late = late;
        self
    }

    /// Warn when a transaction has blocked vacuum longer than this. Every job leaves two dead rows, and claims get slower
    /// while these cannot be removed.
    #[must_use]
    pub fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }
}
