//! The state machine of `README.md` as a model, and the queue's own statements against it: random interleavings of
//! claims, ends, crashes, rescues and operators, and after every step every row is what the model says.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, FromRow, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    Backoff, BoxError, CompleteError, Enqueue, Failure, Handler, Job, JobError, JobId, Lease, Notifier, QueueOptions,
    Schema,
    control::Control,
    enqueue,
    lease::{LeaseState, StopReason},
    outcome::Ack,
    test_database,
    worker::{
        ack_sender::AckSender,
        acknowledge::{AckBatch, Acknowledger},
        attempt::{AttemptOutcome, decide},
        claim_query::ClaimQueries,
        connection::{ReconnectingConnection, connection_options},
        erased_handler::erase,
        health::DatabaseHealth,
        inbox::Inbox,
        registry::QueueRegistry,
        rescue::{RescueTimer, Rescuer},
        roster::Roster,
    },
};

const MAX_ATTEMPTS: i32 = 3;
const MAX_CRASHES: u16 = 3;
const PROCESSES: usize = 3;

#[derive(Serialize, Deserialize)]
struct Step {}

impl Job for Step {
    const QUEUE: &'static str = "step";
    const MAX_ATTEMPTS: u32 = MAX_ATTEMPTS.unsigned_abs();
}

/// How a handler ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    /// The handler completes the job in its own transaction.
    Complete,
    /// The same, and the transaction is rolled back.
    RollBack,
    Error,
    Panic,
    Fail,
    Snooze,
    HandBack,
}

/// Numbers choose among what there is at that moment.
#[derive(Clone, Copy, Debug)]
enum Op {
    Enqueue {
        later: bool,
        priority: i32,
    },
    Claim {
        process: usize,
        room: usize,
    },
    ClaimSuspect {
        process: usize,
    },
    /// The attempt announces that it only waits.
    Wait {
        lease: usize,
    },
    /// The attempt begins to work.
    Begin {
        lease: usize,
    },
    /// A process takes over what only waits in others.
    TakeOver {
        process: usize,
        room: usize,
    },
    End {
        lease: usize,
        how: End,
    },
    /// The process is gone, or cut off for longer than a lease: what it held, it still believes to hold.
    Crash {
        process: usize,
    },
    Rescue {
        process: usize,
    },
    /// All delays are over.
    Elapse,
    Cancel {
        job: usize,
    },
    Retry {
        job: usize,
    },
    Release {
        job: usize,
    },
    Reprioritise {
        job: usize,
        priority: i32,
    },
    Pause,
    Resume,
    Limit(Option<u16>),
}

fn op() -> impl Strategy<Value = Op> {
    let end = prop_oneof![
        Just(End::Done),
        Just(End::Complete),
        Just(End::RollBack),
        Just(End::Error),
        Just(End::Panic),
        Just(End::Fail),
        Just(End::Snooze),
        Just(End::HandBack),
    ];
    let (process, choice) = (0..PROCESSES, 0..1000_usize);
    prop_oneof![
        4 => (any::<bool>(), 0..3).prop_map(|(later, priority)| Op::Enqueue { later, priority }),
        6 => (process.clone(), 1..4_usize).prop_map(|(process, room)| Op::Claim { process, room }),
        3 => process.clone().prop_map(|process| Op::ClaimSuspect { process }),
        4 => choice.clone().prop_map(|lease| Op::Wait { lease }),
        2 => choice.clone().prop_map(|lease| Op::Begin { lease }),
        3 => (process.clone(), 1..4_usize).prop_map(|(process, room)| Op::TakeOver { process, room }),
        6 => (choice.clone(), end).prop_map(|(lease, how)| Op::End { lease, how }),
        3 => process.clone().prop_map(|process| Op::Crash { process }),
        4 => process.prop_map(|process| Op::Rescue { process }),
        2 => Just(Op::Elapse),
        1 => choice.clone().prop_map(|job| Op::Cancel { job }),
        1 => choice.clone().prop_map(|job| Op::Retry { job }),
        2 => choice.clone().prop_map(|job| Op::Release { job }),
        1 => (choice, 0..3).prop_map(|(job, priority)| Op::Reprioritise { job, priority }),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => proptest::option::of(1..4_u16).prop_map(Op::Limit),
    ]
}

/// A job as the model has it; what the table says is read into the same.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
struct Row {
    status: String,
    hold_reason: Option<String>,
    reason: Option<String>,
    priority: i32,
    attempts: i32,
    crashes: i32,
    fence: i32,
    /// Which worker runs it.
    owner: Option<String>,
    /// The attempt only waits.
    waits: bool,
    /// How often its end took effect: in a handler's transaction, or in the failure hook.
    effects: i64,
}

#[derive(FromRow)]
struct Read {
    #[sqlx(try_from = "String")]
    id: JobId,
    #[sqlx(flatten)]
    row: Row,
}

impl Row {
    fn claimed(&mut self, worker: &str) {
        "Running".clone_into(&mut self.status);
        self.fence += 1;
        self.attempts += 1;
        self.owner = Some(worker.to_owned());
    }

    fn taken_over(&mut self, worker: &str) {
        self.fence += 1;
        (self.owner, self.waits) = (Some(worker.to_owned()), false);
    }

    fn back(&mut self, hold: Option<&str>) {
        "Pending".clone_into(&mut self.status);
        self.hold_reason = hold.map(str::to_owned);
        (self.owner, self.waits) = (None, false);
    }

    /// Back, held as it was; if by nothing, then by this.
    fn back_or(&mut self, hold: Option<&str>) {
        let hold = self.hold_reason.take().or(hold.map(str::to_owned));
        self.back(hold.as_deref());
    }

    fn ended(&mut self, status: &str, reason: Option<&str>) {
        status.clone_into(&mut self.status);
        (self.reason, self.hold_reason, self.owner) = (reason.map(str::to_owned), None, None);
        self.waits = false;
    }

    fn killed(&mut self, reason: &str) {
        self.ended("Killed", Some(reason));
        self.effects += 1;
    }

    fn is(&self, status: &str, hold: Option<&str>) -> bool {
        self.status == status && self.hold_reason.as_deref() == hold
    }
}

/// The handler whose failure hook leaves an effect.
struct RecordFailure;

impl Handler<Step> for RecordFailure {
    async fn run(&self, _: Step, _: Lease) -> Result<(), JobError> {
        Ok(())
    }

    async fn failed(&self, tx: &mut PgConnection, _: &Step, why: &Failure) -> Result<(), BoxError> {
        Ok(effect(tx, why.id).await?)
    }
}

struct Process {
    queues: Arc<QueueRegistry>,
    inbox: Arc<Inbox>,
    queries: ClaimQueries,
    rescuer: Rescuer,
}

impl Process {
    async fn start(options: &PgConnectOptions, notifier: &Notifier, db: &mut PgConnection) -> Self {
        let worker = format!("process-{:08x}", rand::random::<u32>());
        let inbox = Arc::new(Inbox::new(Step::QUEUE, worker, QueueOptions::new(10), erase(RecordFailure)));
        let queues = Arc::new(QueueRegistry::default());
        queues.add(Arc::clone(&inbox)).unwrap();
        let health = Arc::new(DatabaseHealth::new());
        health.set_healthy_since(Instant::now().checked_sub(2 * LEASE).expect("the machine has been up for a while"));
        // Its worker is alive until a crash.
        sqlx::query(
            "INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen)
             VALUES ($1, 'step', 'queue', '', now() + interval '1 h')",
        )
        .bind(inbox.worker())
        .execute(db)
        .await
        .unwrap();
        let rescuer = Rescuer {
            schema: Schema::default(),
            lease: LEASE,
            interval: LEASE,
            max_crashes: MAX_CRASHES,
            queues: Arc::clone(&queues),
            health,
            notifier: notifier.clone(),
            wake: Arc::default(),
            stop: CancellationToken::new(),
            connection: ReconnectingConnection::new("model", options.clone(), LEASE),
        };
        let queries = ClaimQueries { schema: Schema::default(), max_heartbeat_age: LEASE / 2 };
        Self { queues, inbox, queries, rescuer }
    }

    fn worker(&self) -> &str {
        self.inbox.worker()
    }
}

/// The task that writes acknowledgements for a process.
fn acknowledger(queues: &Arc<QueueRegistry>, options: &PgConnectOptions, notifier: &Notifier) -> Acknowledger {
    let (acks, _) = AckSender::new(Arc::clone(queues), Arc::new(Roster::default()));
    Acknowledger {
        schema: Schema::default(),
        queues: Arc::clone(queues),
        acks,
        rescue: RescueTimer { wake: Arc::default(), interval: LEASE },
        notifier: notifier.clone(),
        stop: CancellationToken::new(),
        connection: ReconnectingConnection::new("model", options.clone(), LEASE),
    }
}

const LEASE: Duration = Duration::from_secs(1);

async fn effect(conn: &mut PgConnection, id: JobId) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO effects VALUES ($1)").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

struct World {
    db: PgConnection,
    options: PgConnectOptions,
    notifier: Notifier,
    processes: Vec<Process>,
    /// Every lease that was ever given out and whose holder has not ended, with the queues of its process.
    leases: Vec<(Arc<LeaseState>, Arc<QueueRegistry>)>,
    jobs: Vec<JobId>,
    model: HashMap<JobId, Row>,
    paused: bool,
    limit: Option<u16>,
}

impl World {
    async fn new(options: &PgConnectOptions) -> Self {
        let mut db = PgConnection::connect_with(options).await.unwrap();
        sqlx::raw_sql("TRUNCATE apalis.jobs, apalis.workers, apalis.settings, effects").execute(&mut db).await.unwrap();
        let notifier = Notifier::start(Schema::default(), options, false);
        let mut processes = Vec::new();
        for _ in 0..PROCESSES {
            processes.push(Process::start(options, &notifier, &mut db).await);
        }
        let options = options.clone();
        Self {
            db,
            options,
            notifier,
            processes,
            leases: Vec::new(),
            jobs: Vec::new(),
            model: HashMap::new(),
            paused: false,
            limit: None,
        }
    }

    fn running(&self) -> usize {
        self.model.values().filter(|row| row.status == "Running").count()
    }

    /// How many more may run in all processes.
    fn room(&self) -> usize {
        if self.paused {
            0
        } else {
            self.limit.map_or(usize::MAX, |limit| usize::from(limit).saturating_sub(self.running()))
        }
    }

    /// A job chosen by a number.
    fn job(&self, choice: usize) -> Option<JobId> {
        (!self.jobs.is_empty()).then(|| self.jobs[choice % self.jobs.len()])
    }

    fn row(&mut self, id: JobId) -> &mut Row {
        self.model.get_mut(&id).unwrap()
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Enqueue { later, priority } => self.enqueue(later, priority).await,
            Op::Claim { process, room } => self.claim(process, room).await,
            Op::ClaimSuspect { process } => self.claim_suspect(process).await,
            Op::Wait { lease } => self.wait(lease).await,
            Op::Begin { lease } => self.begin(lease).await,
            Op::TakeOver { process, room } => self.take_over(process, room).await,
            Op::End { lease, how } => self.end(lease, how).await,
            Op::Crash { process } => self.crash(process).await,
            Op::Rescue { process } => self.rescue(process).await,
            Op::Elapse => {
                let sql = "UPDATE apalis.jobs SET run_at = now() WHERE status = 'Pending'";
                sqlx::query(sql).execute(&mut self.db).await.unwrap();
            }
            Op::Pause => {
                assert_eq!(Control::new(&mut self.db).pause(Step::QUEUE).await.unwrap(), !self.paused);
                self.paused = true;
            }
            Op::Resume => {
                assert_eq!(Control::new(&mut self.db).resume(Step::QUEUE).await.unwrap(), self.paused);
                self.paused = false;
            }
            Op::Limit(limit) => {
                let changed =
                    Control::new(&mut self.db).limit(Step::QUEUE, limit.and_then(|n| n.try_into().ok())).await;
                assert!(changed.unwrap() || limit == self.limit);
                self.limit = limit;
            }
            Op::Cancel { job } | Op::Retry { job } | Op::Release { job } | Op::Reprioritise { job, .. } => {
                if let Some(id) = self.job(job) {
                    self.control(op, id).await;
                }
            }
        }
    }

    async fn enqueue(&mut self, later: bool, priority: i32) {
        let delay = if later { Duration::from_hours(1000) } else { Duration::ZERO };
        let options = Enqueue::new().priority(priority).delay(delay);
        let id = enqueue(&mut self.db, &Step {}, &options).await.unwrap().id();
        let row = Row {
            status: "Pending".to_owned(),
            hold_reason: later.then(|| "delayed".to_owned()),
            reason: None,
            priority,
            attempts: 0,
            crashes: 0,
            fence: 0,
            owner: None,
            waits: false,
            effects: 0,
        };
        self.jobs.push(id);
        self.model.insert(id, row);
    }

    async fn claim(&mut self, process: usize, room: usize) {
        let claimable: Vec<i32> =
            self.model.values().filter(|row| row.is("Pending", None)).map(|row| row.priority).collect();
        let expected = claimable.len().min(room).min(self.room());
        let process = &self.processes[process];
        let (queues, worker) = (Arc::clone(&process.queues), process.worker().to_owned());
        let claims = process.queries.claim_limited(&mut self.db, process.inbox.as_ref(), room).await.unwrap();
        assert_eq!(claims.len(), expected, "as many as there is room for");
        assert!(claims.is_sorted_by_key(|claim| Reverse(self.model[&claim.id].priority)), "in their order");
        for claim in claims {
            let row = self.model.get_mut(&claim.id).unwrap();
            assert!(row.is("Pending", None), "claimed out of turn: {row:?}");
            row.claimed(&worker);
            self.leases.push((Arc::new(LeaseState::new(&Schema::default(), Step::QUEUE, &claim)), Arc::clone(&queues)));
        }
        let waiting = self.model.values().filter(|row| row.is("Pending", None)).map(|row| row.priority).max();
        let mut order = claimable;
        order.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(waiting, order.get(expected).copied(), "the highest priorities go first");
    }

    async fn claim_suspect(&mut self, process: usize) {
        let Some(id) = self.jobs.iter().copied().find(|id| self.model[id].is("Pending", Some("suspect"))) else {
            return;
        };
        let process = &self.processes[process];
        let (queues, worker) = (Arc::clone(&process.queues), process.worker().to_owned());
        let expected = usize::from(self.room() > 0);
        let claims = process.queries.claim_suspect(&mut self.db, process.inbox.as_ref(), id).await.unwrap();
        assert_eq!(claims.len(), expected);
        for claim in claims {
            self.row(id).claimed(&worker);
            self.leases.push((Arc::new(LeaseState::new(&Schema::default(), Step::QUEUE, &claim)), Arc::clone(&queues)));
        }
    }

    /// A lease chosen by a number, and whether it is still held.
    fn lease(&self, choice: usize) -> Option<(Arc<LeaseState>, bool)> {
        let (lease, _) = self.leases.get(choice.checked_rem(self.leases.len())?)?;
        Some((Arc::clone(lease), self.is_current(lease)))
    }

    fn is_current(&self, lease: &LeaseState) -> bool {
        let row = &self.model[&lease.id];
        row.status == "Running" && row.fence == lease.fence
    }

    async fn wait(&mut self, choice: usize) {
        let Some((lease, is_current)) = self.lease(choice) else { return };
        let announced = Lease(Arc::clone(&lease)).announce_idle(&mut self.db).await;
        assert_eq!(announced.is_ok(), is_current);
        if is_current {
            self.row(lease.id).waits = true;
        }
    }

    async fn begin(&mut self, choice: usize) {
        let Some((lease, is_current)) = self.lease(choice) else { return };
        let begun = Lease(Arc::clone(&lease)).begin(&mut self.db).await;
        assert_eq!(begun.is_ok(), is_current);
        if is_current {
            self.row(lease.id).waits = false;
        }
    }

    async fn take_over(&mut self, process: usize, room: usize) {
        let process = &self.processes[process];
        let (queues, worker) = (Arc::clone(&process.queues), process.worker().to_owned());
        let may_be_taken = |row: &Row| row.is("Running", None) && row.waits && row.owner.as_ref() != Some(&worker);
        let mut waiting: Vec<i32> =
            self.model.values().filter(|row| may_be_taken(row)).map(|row| row.priority).collect();
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        let expected = if self.paused { 0 } else { waiting.len().min(room) };
        let claims = process.queries.take_over_idle(&mut self.db, process.inbox.as_ref(), room).await.unwrap();
        assert_eq!(claims.len(), expected, "as many as there is room for");
        assert!(claims.is_sorted_by_key(|claim| Reverse(self.model[&claim.id].priority)), "in their order");
        for claim in claims {
            let row = self.model.get_mut(&claim.id).unwrap();
            assert!(may_be_taken(row), "taken from an attempt that has begun: {row:?}");
            row.taken_over(&worker);
            self.leases.push((Arc::new(LeaseState::new(&Schema::default(), Step::QUEUE, &claim)), Arc::clone(&queues)));
        }
        let left = self.model.values().filter(|row| may_be_taken(row)).map(|row| row.priority).max();
        assert_eq!(left, waiting.get(expected).copied(), "the highest priorities go first");
    }

    async fn end(&mut self, choice: usize, how: End) {
        if self.leases.is_empty() {
            return;
        }
        let (lease, queues) = self.leases.swap_remove(choice % self.leases.len());
        let is_current = self.is_current(&lease);
        let failed_once = |row: &mut Row| {
            if lease.attempt - lease.crashes >= MAX_ATTEMPTS {
                row.killed("exhausted");
            } else {
                row.back_or(Some("delayed"));
            }
        };
        let outcome = match how {
            End::Complete | End::RollBack => {
                let mut tx = self.db.begin().await.unwrap();
                let completed = Lease(Arc::clone(&lease)).complete(&mut tx).await;
                match &completed {
                    Ok(()) => assert!(is_current, "a lost lease completed a job"),
                    Err(CompleteError::LeaseLost) => assert!(!is_current, "a lease that lives was refused"),
                    Err(CompleteError::Sql(error)) => panic!("{error}"),
                }
                effect(&mut tx, lease.id).await.unwrap();
                let commits = completed.is_ok() && matches!(how, End::Complete);
                if commits {
                    tx.commit().await.unwrap();
                } else {
                    tx.rollback().await.unwrap();
                }
                match completed {
                    Ok(()) if commits => {
                        let row = self.row(lease.id);
                        row.ended("Done", None);
                        row.effects += 1;
                        AttemptOutcome::Returned(Ok(()))
                    }
                    Ok(()) => {
                        failed_once(self.row(lease.id));
                        AttemptOutcome::Returned(Err(JobError::retry("rolled back")))
                    }
                    Err(error) => AttemptOutcome::Returned(Err(error.into())),
                }
            }
            _ if !is_current => match how {
                End::Fail => AttemptOutcome::Returned(Err(JobError::fail("no"))),
                End::Error => AttemptOutcome::Returned(Err(JobError::retry("no"))),
                _ => AttemptOutcome::Returned(Ok(())),
            },
            End::Done => {
                self.row(lease.id).ended("Done", None);
                AttemptOutcome::Returned(Ok(()))
            }
            End::Error => {
                failed_once(self.row(lease.id));
                AttemptOutcome::Returned(Err(JobError::retry("no")))
            }
            End::Panic => {
                failed_once(self.row(lease.id));
                AttemptOutcome::Panicked("no".to_owned())
            }
            End::Fail => {
                self.row(lease.id).killed("failed");
                AttemptOutcome::Returned(Err(JobError::fail("no")))
            }
            End::Snooze => {
                let row = self.row(lease.id);
                row.back_or(Some("delayed"));
                row.attempts -= 1;
                AttemptOutcome::Returned(Err(JobError::Snooze(Duration::from_hours(1000))))
            }
            End::HandBack => {
                let row = self.row(lease.id);
                row.back_or(None);
                row.attempts -= 1;
                lease.stop(StopReason::Draining);
                AttemptOutcome::Dropped
            }
        };
        // Longer than any run of the model, whatever is drawn.
        let backoff = Backoff::exponential(Duration::from_hours(1_000_000), Duration::from_hours(1_000_000));
        let verdict = decide(outcome, &lease, &backoff, MAX_CRASHES);
        let mut batch = AckBatch::default();
        batch.add(Ack { lease, verdict });
        acknowledger(&queues, &self.options, &self.notifier).write(&mut batch).await.unwrap();
    }

    async fn crash(&mut self, process: usize) {
        let gone = self.processes[process].worker().to_owned();
        sqlx::query("UPDATE apalis.workers SET last_seen = now() - interval '1 h' WHERE id = $1")
            .bind(&gone)
            .execute(&mut self.db)
            .await
            .unwrap();
        sqlx::query(
            "UPDATE apalis.jobs SET lock_at = now() - interval '1 h' WHERE lock_by = $1 AND status = 'Running'",
        )
        .bind(&gone)
        .execute(&mut self.db)
        .await
        .unwrap();
        self.processes[process] = Process::start(&self.options, &self.notifier, &mut self.db).await;
    }

    async fn rescue(&mut self, process: usize) {
        let due = "SELECT id FROM apalis.jobs WHERE status = 'Pending' AND hold_reason = 'delayed' AND run_at <= now()";
        let due: Vec<String> = sqlx::query_scalar(due).fetch_all(&mut self.db).await.unwrap();
        self.processes[process].rescuer.pass().await.unwrap();
        let alive: Vec<String> = self.processes.iter().map(|process| process.worker().to_owned()).collect();
        for (id, row) in &mut self.model {
            if due.contains(&id.to_string()) {
                row.hold_reason = None;
            } else if row.is("Pending", Some("cancel")) {
                row.killed("cancelled");
            } else if row.owner.as_ref().is_some_and(|owner| !alive.contains(owner)) {
                row.crashes += i32::from(!row.waits || row.hold_reason.as_deref() == Some("cancel"));
                if row.hold_reason.as_deref() == Some("cancel") {
                    row.killed("cancelled");
                } else if row.waits {
                    row.attempts -= 1;
                    row.back_or(None);
                } else if row.crashes >= i32::from(MAX_CRASHES) {
                    row.killed("quarantined");
                } else {
                    row.back((row.crashes + 1 >= i32::from(MAX_CRASHES)).then_some("suspect"));
                }
            }
        }
    }

    async fn control(&mut self, op: Op, id: JobId) {
        let db = &mut self.db;
        let row = self.model.get_mut(&id).unwrap();
        match op {
            Op::Cancel { .. } => {
                let possible = ["Pending", "Running"].contains(&row.status.as_str());
                assert_eq!(Control::new(db).cancel(id).await.unwrap(), possible);
                if possible {
                    row.hold_reason = Some("cancel".to_owned());
                }
            }
            Op::Retry { .. } => {
                let possible = row.status == "Killed" && row.reason.as_deref() != Some("quarantined");
                assert_eq!(Control::new(db).retry(id).await.unwrap().is_some(), possible);
                if possible {
                    row.back(None);
                    (row.attempts, row.crashes, row.reason) = (0, 0, None);
                }
            }
            Op::Release { .. } => {
                let possible = row.reason.as_deref() == Some("quarantined");
                assert_eq!(Control::new(db).release(id).await.unwrap().is_some(), possible);
                if possible {
                    row.back(Some("suspect"));
                    (row.attempts, row.reason) = (row.crashes, None);
                }
            }
            Op::Reprioritise { priority, .. } => {
                let possible = row.status == "Pending";
                assert_eq!(Control::new(db).reprioritise(id, priority).await.unwrap(), possible);
                if possible {
                    row.priority = priority;
                }
            }
            _ => unreachable!(),
        }
    }

    /// Every row of the table.
    async fn table(&mut self) -> HashMap<JobId, Row> {
        let sql = "SELECT id, status, hold_reason, reason, priority, attempts, crashes, fence,
            CASE WHEN status = 'Running' THEN lock_by END AS owner,
            status = 'Running' AND idle_fence IS NOT DISTINCT FROM fence AS waits,
            (SELECT count(*) FROM effects WHERE job = jobs.id) AS effects FROM apalis.jobs";
        let rows: Vec<Read> = sqlx::query_as(sql).fetch_all(&mut self.db).await.unwrap();
        rows.into_iter().map(|read| (read.id, read.row)).collect()
    }
}

#[test]
fn every_interleaving_leaves_the_table_as_the_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options: PgConnectOptions = runtime.block_on(async {
        let options = test_database::database().await;
        let pool = sqlx::PgPool::connect_with(options.clone()).await.unwrap();
        crate::migrate(&pool).await.unwrap();
        sqlx::raw_sql("CREATE TABLE effects (job text)").execute(&pool).await.unwrap();
        // The rescue holds off until the server has been up for a lease.
        let up = "SELECT pg_postmaster_start_time() < now() - $1";
        while !sqlx::query_scalar(up).bind(2 * LEASE).fetch_one(&pool).await.unwrap_or(false) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        connection_options(options, false)
    });
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&proptest::collection::vec(op(), 1..80), |ops| {
        runtime.block_on(async {
            let mut world = World::new(&options).await;
            for (at, op) in ops.iter().enumerate() {
                world.step(*op).await;
                let table = world.table().await;
                prop_assert_eq!(&table, &world.model, "after step {} of {:?}", at, ops);
            }
            Ok(())
        })
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}
