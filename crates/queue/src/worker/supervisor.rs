//! One per process: starts the tasks that work on its queues, and drains them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    ack_sender::AckSender,
    acknowledge::Acknowledger,
    backend::QueueWorker,
    claim::Claimer,
    claim_query::ClaimQueries,
    connection::{ReconnectingConnection, connection_options},
    erased_handler::erase,
    health::DatabaseHealth,
    heartbeat::Heartbeat,
    inbox::Inbox,
    listen::Listener,
    maintenance,
    registry::{AlreadyWorked, QueueRegistry},
    rescue::{RescueTimer, Rescuer},
    roster::Roster,
    schedule::{ScheduleError, ScheduleRegistry, Scheduler},
    shutdown::Shutdown,
    vital_task::EndedTask,
};
use crate::{
    handler::Handler,
    job::Job,
    lease::StopReason,
    notifier::Notifier,
    options::{QueueOptions, SupervisorOptions},
};

/// How long attempts may go on that were asked to stop at the end of the grace period.
const LAST_STOP: Duration = Duration::from_secs(1);
/// How long the last writes of a drain may take.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Works on queues, for as long as the process lives. It waits for a database that is away, however long that takes.
///
/// Dropped without [`Supervisor::drain`], it ends like a crash: its leases run out, and other processes take its jobs.
pub struct Supervisor {
    name: String,
    stop_timeout: Duration,
    max_crashes: u16,
    queues: Arc<QueueRegistry>,
    roster: Arc<Roster>,
    acks: AckSender,
    schedules: Arc<ScheduleRegistry>,
    notifier: Notifier,
    wake: Wake,
    shutdown: Shutdown,
    workers: Mutex<JoinSet<()>>,
    claimer: JoinHandle<()>,
    heartbeat_ended: CancellationToken,
    ended: EndedTask,
}

/// Wakes one task each.
#[derive(Default)]
struct Wake {
    claimer: Arc<Notify>,
    heartbeat: Arc<Notify>,
    rescuer: Arc<Notify>,
    scheduler: Arc<Notify>,
}

/// The result of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Jobs that still ran at the end of the grace period, and were handed back without a lost attempt.
    pub handed_back: usize,
    /// Jobs whose acknowledgement could not be written in time, because the database is away. Their leases run out, and
    /// they run again.
    pub unwritten: usize,
}

impl Supervisor {
    /// Starts the tasks: six connections of the queue's own (five behind a pooler), beside any pool, and now and then two
    /// more. Needs a tokio runtime. `database` may be [`PgPool::connect_options`](sqlx::PgPool::connect_options).
    ///
    /// The schema must have been [migrated](crate::migrate); until it is, the tasks log errors and try again.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start(options: SupervisorOptions, database: &PgConnectOptions) -> std::io::Result<Self> {
        let SupervisorOptions { lease, heartbeat, poll, pooler, max_crashes, .. } = options;
        let schema = options.schema.clone();
        let queues = Arc::new(QueueRegistry::default());
        let roster = Arc::new(Roster::default());
        let schedules = Arc::new(ScheduleRegistry::default());
        let health = Arc::new(DatabaseHealth::new());
        let (acks, unwritten) = AckSender::new(Arc::clone(&queues), Arc::clone(&roster));
        let shutdown = Shutdown::default();
        let wake = Wake::default();
        let ended = EndedTask::default();
        let notifier = Notifier::start(schema.clone(), database, pooler);
        let database = connection_options(database.clone(), pooler);
        let connection = |task| ReconnectingConnection::new(task, database.clone(), heartbeat);

        let heartbeat_ended = Heartbeat {
            schema: schema.clone(),
            label: options.label.clone(),
            interval: heartbeat,
            queues: Arc::clone(&queues),
            roster: Arc::clone(&roster),
            acks: acks.clone(),
            health: Arc::clone(&health),
            wake_claimer: Arc::clone(&wake.claimer),
            wake: Arc::clone(&wake.heartbeat),
            shutdown: shutdown.clone(),
            connection: connection("heartbeat"),
        }
        .start(ended.guard("heartbeat", &shutdown.stop))?;
        let acknowledger = Acknowledger {
            schema: schema.clone(),
            queues: Arc::clone(&queues),
            acks: acks.clone(),
            rescue: RescueTimer { wake: Arc::clone(&wake.rescuer), interval: heartbeat },
            notifier: notifier.clone(),
            stop: shutdown.stop.clone(),
            connection: connection("acknowledge"),
        };
        ended.spawn("acknowledge", &shutdown.stop, acknowledger.run(unwritten));
        let rescuer = Rescuer {
            schema: schema.clone(),
            lease,
            interval: heartbeat,
            max_crashes,
            queues: Arc::clone(&queues),
            health,
            notifier: notifier.clone(),
            wake: Arc::clone(&wake.rescuer),
            stop: shutdown.stop.clone(),
            connection: connection("rescue"),
        };
        ended.spawn("rescue", &shutdown.stop, rescuer.run());
        let scheduler = Scheduler {
            schema: schema.clone(),
            schedules: Arc::clone(&schedules),
            wake: Arc::clone(&wake.scheduler),
            notifier: notifier.clone(),
            draining: shutdown.draining.clone(),
            connection: connection("schedule"),
        };
        ended.spawn("schedule", &shutdown.draining, scheduler.run());
        maintenance::spawn(&options, &shutdown.draining, &ended, connection);
        if !pooler {
            let listener = Listener {
                channel: schema.channel(),
                queues: Arc::clone(&queues),
                wake_claimer: Arc::clone(&wake.claimer),
                draining: shutdown.draining.clone(),
            };
            ended.spawn("listen", &shutdown.draining, listener.run(database.clone()));
        }
        let claimer = Claimer {
            schema: schema.clone(),
            queries: ClaimQueries { schema, max_heartbeat_age: lease / 2 },
            poll,
            queues: Arc::clone(&queues),
            roster: Arc::clone(&roster),
            acks: acks.clone(),
            wake: Arc::clone(&wake.claimer),
            draining: shutdown.draining.clone(),
            connection: connection("claim"),
        };
        let claimer = ended.spawn("claim", &shutdown.draining, claimer.run());
        let SupervisorOptions { name, stop_timeout, .. } = options;
        Ok(Self {
            name: format!("{name}-{:08x}", rand::random::<u32>()),
            stop_timeout,
            max_crashes,
            queues,
            roster,
            acks,
            schedules,
            notifier,
            wake,
            shutdown,
            workers: Mutex::default(),
            claimer,
            heartbeat_ended,
            ended,
        })
    }

    /// Works on a queue: claims its jobs and runs them with the handler, in tasks of the tokio runtime, until the drain.
    ///
    /// # Errors
    /// Where this supervisor works on the queue already.
    pub fn work<J: Job>(&self, options: QueueOptions, handler: impl Handler<J>) -> Result<(), AlreadyWorked> {
        let inbox = Arc::new(Inbox::new(J::QUEUE, format!("{}.{}", self.name, J::QUEUE), options, erase(handler)));
        self.queues.add(Arc::clone(&inbox))?;
        self.wake.heartbeat.notify_one();
        self.wake.rescuer.notify_one();
        let worker = QueueWorker {
            inbox,
            acks: self.acks.clone(),
            wake_claimer: Arc::clone(&self.wake.claimer),
            stop_timeout: self.stop_timeout,
            max_crashes: self.max_crashes,
            draining: self.shutdown.draining.clone(),
        };
        let running = self.ended.watch("worker", &self.shutdown.draining, worker.run());
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).spawn(running);
        Ok(())
    }

    /// Enqueues a job at every tick of a cron expression (five fields, or six with seconds first), in UTC by the database's
    /// clock: once a tick, however many processes have the schedule of this name. Ticks that passed while no process ran
    /// are made up by one job, the newest tick's. A new schedule starts with its next tick.
    ///
    /// # Errors
    /// Where the text is not a cron expression, or matches no time.
    pub fn schedule<J: Job>(
        &self,
        name: &str,
        cron: &str,
        job: impl Fn() -> J + Send + Sync + 'static,
    ) -> Result<(), ScheduleError> {
        self.schedules.add(name, cron, job)?;
        self.wake.scheduler.notify_one();
        Ok(())
    }

    /// The notifier of this process, for jobs that its handlers enqueue.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Waits until a task of this supervisor has ended that must not end before its drain, after a panic for example, and
    /// returns its name. The others go on without it, so part of the work stays undone: [drain](Self::drain), end the process
    /// with an error, and let what started it start it again.
    pub async fn ended(&self) -> &'static str {
        self.ended.name().await
    }

    /// Shuts down in good order: claims no more, hands back what has not started or is in
    /// [`Lease::wait_idle`](crate::Lease::wait_idle), and waits for what runs, under live
    /// leases. Attempts that still run after `grace` are asked to stop, a second later dropped, and their jobs handed back
    /// without a lost attempt. Then come at most about ten seconds for the last writes.
    pub async fn drain(mut self, grace: Duration) -> Drained {
        self.shutdown.draining.cancel();
        // A claim that is under way must be answered first, or its jobs would stay Running without anybody to run them.
        if let Err(error) = (&mut self.claimer).await {
            warn!(%error, "the claimer has failed");
        }
        for ack in self.queues.all().iter().flat_map(|queue| queue.recall()) {
            self.acks.send(ack).await;
        }
        self.roster.stop_idle(StopReason::Draining);
        info!(running = self.roster.len(), ?grace, "draining");
        let mut handed_back = 0;
        if timeout(grace, self.roster.emptied()).await.is_err() {
            self.roster.stop_all(StopReason::Draining);
            if timeout(LAST_STOP, self.roster.emptied()).await.is_err() {
                handed_back = self.roster.len();
                self.roster.all().iter().for_each(|lease| lease.evict.cancel());
            }
        }
        if timeout(LAST_WRITES, self.roster.emptied()).await.is_ok() {
            self.shutdown.drained.cancel();
        }
        let unwritten = self.roster.len();
        // Others may run what was handed back.
        self.notifier.close().await;
        self.stop();
        if timeout(LAST_WRITES, self.heartbeat_ended.cancelled()).await.is_err() {
            warn!("the heartbeat did not end in time");
        }
        let mut workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        while workers.join_next().await.is_some() {}
        Drained { handed_back, unwritten }
    }

    /// Ends the tasks.
    fn stop(&self) {
        self.shutdown.stop.cancel();
        self.queues.all().iter().for_each(|queue| queue.abandon());
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shutdown.draining.cancel();
        self.stop();
        // The workers end by themselves; a running attempt goes on in its own task, and can change nothing any more.
        self.workers.get_mut().unwrap_or_else(PoisonError::into_inner).detach_all();
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("name", &self.name).finish_non_exhaustive()
    }
}
