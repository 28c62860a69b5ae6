//! One per process: starts the tasks that keep its queues going, and drains them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    acknowledge::{self, Ended},
    backend::Queue,
    check::{self, Thresholds},
    claim, heartbeat,
    inbox::{Inbox, QueueOptions, Served},
    job::Job,
    lease::{Held, StopReason},
    link::{Link, own_connections},
    listen,
    prune::{self, Retention},
    rescue,
    roster::Roster,
    schedule::{self, Schedule, ScheduleError},
};

/// Ends that may wait to be written before attempts keep their slots: two of the largest commits.
const UNWRITTEN_ENDS: usize = 2000;
/// How long attempts that were told of the drain's end may go on.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the last writes of a drain may take.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// How this process works on its queues. All processes of a database must use the same `lease`.
#[derive(Clone, Debug)]
pub struct SupervisorOptions {
    /// Names the process in the table; a random part is added, so that no name is used twice.
    pub name: String,
    /// How long a worker is believed alive after its last heartbeat.
    pub lease: Duration,
    /// Between two heartbeats: a fraction of the lease.
    pub heartbeat: Duration,
    /// Between two looks for jobs of which nobody has told, about.
    pub poll: Duration,
    /// Whether the database is reached through a pooler that gives a connection to every transaction anew. Then there is
    /// no LISTEN, and `poll` is the latency.
    pub pooler: bool,
    /// How many workers may die over a job. Before the last it runs alone, with the last it is quarantined.
    pub max_crashes: u16,
    /// How long an attempt may go on after it was told that its job is cancelled or its lease lost.
    pub patience: Duration,
    /// How long jobs are kept after their end.
    pub retention: Retention,
    /// From when to warn.
    pub thresholds: Thresholds,
}

impl Default for SupervisorOptions {
    /// A lease of 6 s, a heartbeat and a poll every second, no pooler, 3 crashes, 10 s of patience, the default retention and
    /// thresholds. A crash is noticed at most 8 s later.
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            lease: Duration::from_secs(6),
            heartbeat: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            pooler: false,
            max_crashes: 3,
            patience: Duration::from_secs(10),
            retention: Retention::default(),
            thresholds: Thresholds::default(),
        }
    }
}

/// What the tasks of a process share.
pub(super) struct Shared {
    pub(super) options: SupervisorOptions,
    /// The process's name in the table.
    name: String,
    pub(super) roster: Roster,
    served: RwLock<Vec<Arc<dyn Served>>>,
    schedules: RwLock<Vec<Arc<Schedule>>>,
    ends: mpsc::Sender<Ended>,
    /// Wakes the claimer, the heartbeat, the rescue, the schedules.
    pub(super) claimer: Notify,
    pub(super) heart: Notify,
    pub(super) due: Notify,
    pub(super) ticks: Notify,
    /// No more claims.
    pub(super) draining: CancellationToken,
    /// Everything has ended in good order.
    pub(super) drained: CancellationToken,
    /// The tasks end.
    pub(super) stop: CancellationToken,
    undisturbed_since: Mutex<Instant>,
}

impl Shared {
    /// The shared part of a new process, and the ends that are to be written.
    pub(super) fn new(options: SupervisorOptions) -> (Arc<Self>, mpsc::Receiver<Ended>) {
        let (ends, written) = mpsc::channel(UNWRITTEN_ENDS);
        let shared = Arc::new(Self {
            name: format!("{}-{:08x}", options.name, rand::random::<u32>()),
            options,
            roster: Roster::default(),
            served: RwLock::default(),
            schedules: RwLock::default(),
            ends,
            claimer: Notify::new(),
            heart: Notify::new(),
            due: Notify::new(),
            ticks: Notify::new(),
            draining: CancellationToken::new(),
            drained: CancellationToken::new(),
            stop: CancellationToken::new(),
            undisturbed_since: Mutex::new(Instant::now()),
        });
        (shared, written)
    }

    pub(super) fn serve(&self, served: Arc<dyn Served>) {
        self.served.write().unwrap_or_else(PoisonError::into_inner).push(served);
    }

    pub(super) fn all_served(&self) -> Vec<Arc<dyn Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn all_schedules(&self) -> Vec<Arc<Schedule>> {
        self.schedules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn served(&self, queue: &str) -> Option<Arc<dyn Served>> {
        self.all_served().into_iter().find(|served| served.queue() == queue)
    }

    pub(super) fn look_everywhere(&self) {
        self.all_served().iter().for_each(|served| served.look());
    }

    /// There are new jobs in this queue.
    pub(super) fn look_at(&self, queue: &str) {
        if let Some(served) = self.served(queue) {
            served.look();
            self.claimer.notify_one();
        }
    }

    /// Has the end of an attempt written. Waits while too many are unwritten.
    pub(super) async fn end(&self, ended: Ended) {
        if let Err(refused) = self.ends.send(ended).await {
            // The tasks have ended; the lease runs out by itself.
            self.settle(&refused.0.lease);
        }
    }

    /// The same, after a time.
    pub(super) fn end_later(self: &Arc<Self>, ended: Ended, wait: Duration) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            shared.end(ended).await;
        });
    }

    /// The end of a lease is written.
    pub(super) fn settle(&self, lease: &Held) {
        if self.roster.leave(lease)
            && let Some(served) = self.served(lease.queue)
        {
            served.settled();
        }
    }

    /// Ends the tasks.
    fn stop(&self) {
        self.stop.cancel();
        self.all_served().iter().for_each(|served| served.abandon());
    }

    /// A delayed job may be due after this time.
    pub(super) fn due_in(self: &Arc<Self>, wait: Duration) {
        if wait < self.options.heartbeat {
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                shared.due.notify_one();
            });
        }
    }

    /// The database has failed.
    pub(super) fn disturbed(&self) {
        self.set_undisturbed_since(Instant::now());
    }

    pub(super) fn set_undisturbed_since(&self, since: Instant) {
        *self.undisturbed_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// How long the database has not failed.
    pub(super) fn undisturbed(&self) -> Duration {
        self.undisturbed_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Keeps the queues of a process going. It waits for a database that is away, for as long as it takes.
///
/// Dropped without [`Self::drain`], it is as if the process had crashed: its leases run out.
pub struct Supervisor {
    shared: Arc<Shared>,
    claimer: JoinHandle<()>,
    heart: CancellationToken,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Jobs that ran on into the end of the grace period, and were handed back without a lost attempt.
    pub handed_back: usize,
    /// Jobs whose end could not be written in time, because the database is away. Their leases run out.
    pub unwritten: usize,
}

impl Supervisor {
    /// Starts the tasks: five connections of the queue's own, beside any pool, and now and then two more. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(options: SupervisorOptions, database: &PgConnectOptions) -> std::io::Result<Self> {
        let (shared, written) = Shared::new(options);
        let database = own_connections(database.clone(), shared.options.pooler);
        let link = |task| Link::new(task, database.clone(), shared.options.heartbeat);
        let heart = heartbeat::start(Arc::clone(&shared), link("heartbeat"))?;
        tokio::spawn(acknowledge::run(Arc::clone(&shared), written, link("acknowledge")));
        tokio::spawn(rescue::run(Arc::clone(&shared), link("rescue")));
        tokio::spawn(schedule::run(Arc::clone(&shared), link("schedule")));
        tokio::spawn(prune::run(Arc::clone(&shared), link("prune")));
        tokio::spawn(check::run(Arc::clone(&shared), link("check")));
        if !shared.options.pooler {
            tokio::spawn(listen::run(Arc::clone(&shared), database.clone()));
        }
        let claimer = tokio::spawn(claim::run(Arc::clone(&shared), link("claim")));
        Ok(Self { shared, claimer, heart })
    }

    /// Serves a queue: the backend of one apalis worker. Jobs are claimed once that worker runs; rescues and failure
    /// hooks of the queue start at once. Call it once for a queue.
    #[must_use]
    pub fn queue<J: Job>(&self, options: QueueOptions<J>) -> Queue<J> {
        let inbox = Arc::new(Inbox::new(format!("{}.{}", self.shared.name, J::QUEUE), options));
        self.shared.serve(Arc::clone(&inbox) as _);
        self.shared.heart.notify_one();
        self.shared.due.notify_one();
        Queue::new(Arc::clone(&self.shared), inbox)
    }

    /// Queues a job at every tick of a cron expression (five fields, or six with seconds first), in UTC by the
    /// database's clock: once a tick, however many processes carry the schedule of this name. Ticks that nobody was
    /// there for are caught up by one job, the newest tick's. A new schedule starts with its next tick.
    pub fn schedule<J: Job>(
        &self,
        name: &str,
        cron: &str,
        job: impl Fn() -> J + Send + Sync + 'static,
    ) -> Result<(), ScheduleError> {
        let schedule = Arc::new(Schedule::new(name, cron, job)?);
        self.shared.schedules.write().unwrap_or_else(PoisonError::into_inner).push(schedule);
        self.shared.ticks.notify_one();
        Ok(())
    }

    /// Resolves when the drain begins: the signal for `Worker::run_until`.
    pub fn draining(&self) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let draining = self.shared.draining.clone();
        async move {
            draining.cancelled().await;
            Ok(())
        }
    }

    /// Ends in good order: claims no more, gives back what has not started, and waits for what runs, under live leases.
    /// What still runs after `grace` is asked to stop, then dropped and handed back without a lost attempt.
    pub async fn drain(mut self, grace: Duration) -> Drained {
        let shared = Arc::clone(&self.shared);
        shared.draining.cancel();
        // A claim that is under way is answered first, or it would leave jobs that nobody runs.
        if let Err(error) = (&mut self.claimer).await {
            warn!(%error, "the claimer has failed");
        }
        for ended in shared.all_served().iter().flat_map(|served| served.recall()) {
            shared.end(ended).await;
        }
        info!(running = shared.roster.len(), ?grace, "draining");
        let mut handed_back = 0;
        if timeout(grace, shared.roster.emptied()).await.is_err() {
            shared.roster.stop_all(StopReason::Draining);
            if timeout(LAST_WORDS, shared.roster.emptied()).await.is_err() {
                handed_back = shared.roster.len();
                shared.roster.all().iter().for_each(|lease| lease.evict.cancel());
            }
        }
        if timeout(LAST_WRITES, shared.roster.emptied()).await.is_ok() {
            shared.drained.cancel();
        }
        let unwritten = shared.roster.len();
        shared.stop();
        if timeout(LAST_WRITES, self.heart.cancelled()).await.is_err() {
            warn!("the heartbeat did not end in time");
        }
        Drained { handed_back, unwritten }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shared.draining.cancel();
        self.shared.stop();
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
