//! The queue's side of `make bench-queue`, and stock apalis-postgres beside it. `bench/queue/run.py` calls it:
//!
//! ```text
//! queue_bench darkroom|apalis URL prepare                     migrate an empty database
//! queue_bench darkroom|apalis URL fill N [later]              add N jobs, a thousand a transaction
//! queue_bench darkroom        URL finished N                  add N jobs that are done
//! queue_bench darkroom|apalis URL drain N CONCURRENCY AHEAD [touch]   run N jobs that wait (AHEAD: prefetch, or apalis' batch)
//! queue_bench darkroom        URL single N                    add N jobs, a transaction each
//! queue_bench darkroom        URL commits N WRITERS [inside]  the same on so many connections, beside an idle worker that is
//!                                                             notified (inside: by each transaction instead of after it)
//! queue_bench darkroom        URL latency N GAP_MS            add N jobs, one every GAP_MS, with an idle worker
//! queue_bench darkroom        URL crash N                     kill a worker with a job, N times: when does another begin it?
//! queue_bench darkroom        URL long SECONDS                one job that takes so long, with an idle worker beside
//! queue_bench darkroom        URL hold SECONDS                what the two above start: a worker whose jobs take so long
//! ```
//!
//! Each prints one line of JSON. A job does nothing, or with `touch` updates one row in the transaction that ends it.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a measurement that cannot go on says so by panicking"
)]

use std::{
    env,
    str::FromStr as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use apalis_core::{
    backend::ext::BackendExt as _,
    task::{builder::TaskBuilder, data::Data},
    worker::builder::WorkerBuilder,
};
use apalis_postgres::{Config, PgTask, PostgresStorage};
use darkroom_queue::{
    BoxError, Enqueue, Handler, Job, JobError, Lease, Notifier, QueueOptions, Retention, Schema, Supervisor,
    SupervisorOptions, enqueue, enqueue_all, migrate,
};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{io::AsyncBufReadExt as _, sync::Notify};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct BenchJob {
    number: u64,
}

impl Job for BenchJob {
    const QUEUE: &'static str = "work";
    const MAX_ATTEMPTS: u32 = 5;
}

/// A job that nobody enqueues.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OtherJob {}

impl Job for OtherJob {
    const QUEUE: &'static str = "other";
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [system, url, what, rest @ ..] = arguments.as_slice() else { panic!("see the head of this file") };
    let number = |at: usize| rest[at].parse::<u64>().unwrap();
    let pool = PgPool::connect(url).await.unwrap();
    let answer = match (*system, *what) {
        (_, "prepare") => {
            migrate(&pool).await.unwrap();
            let rows =
                "CREATE TABLE touched (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
                INSERT INTO touched SELECT generate_series(0, 999)";
            sqlx::raw_sql(rows).execute(&pool).await.unwrap();
            if *system == "apalis" {
                stock_schema(&pool).await;
            }
            json!({})
        }
        ("darkroom", "fill") => timed(number(0), fill(&pool, number(0), rest.get(1) == Some(&"later"))).await,
        ("darkroom", "finished") => timed(number(0), finished(&pool, number(0))).await,
        ("darkroom", "single") => timed(number(0), single(&pool, number(0))).await,
        ("darkroom", "commits") => commits(url, number(0), number(1), rest.get(2) == Some(&"inside")).await,
        ("darkroom", "drain") => {
            let (jobs, concurrency, ahead) = (number(0), number(1), number(2));
            drain(&pool, url, jobs, concurrency, ahead, rest.get(3) == Some(&"touch")).await
        }
        ("darkroom", "latency") => latency(&pool, url, number(0), Duration::from_millis(number(1))).await,
        ("darkroom", "crash") => crash(&pool, url, number(0)).await,
        ("darkroom", "long") => long(&pool, url, number(0)).await,
        ("darkroom", "hold") => hold(url, Duration::from_secs(number(0))).await,
        ("apalis", "fill") => timed(number(0), stock_fill(&pool, number(0))).await,
        ("apalis", "drain") => stock_drain(&pool, number(0), number(2)).await,
        _ => panic!("see the head of this file"),
    };
    println!("{answer}");
}

/// The defaults, but for pruning: a million finished jobs are to stay.
fn unpruned() -> SupervisorOptions {
    SupervisorOptions::new("bench").retention(Retention::default().max_jobs(u32::MAX))
}

async fn timed(jobs: u64, work: impl Future<Output = ()>) -> serde_json::Value {
    let begin = Instant::now();
    work.await;
    json!({ "jobs": jobs, "seconds": begin.elapsed().as_secs_f64() })
}

async fn fill(pool: &PgPool, jobs: u64, later: bool) {
    let options = if later { Enqueue::new().delay(Duration::from_hours(24)) } else { Enqueue::new() };
    let mut conn = pool.acquire().await.unwrap();
    let jobs: Vec<BenchJob> = (0..jobs).map(|number| BenchJob { number }).collect();
    for batch in jobs.chunks(1000) {
        enqueue_all(&mut conn, batch.iter().map(|job| (job, &options))).await.unwrap();
    }
}

/// Straight into the table: what is measured is how the rest does beside them.
async fn finished(pool: &PgPool, jobs: u64) {
    let sql =
        "INSERT INTO apalis.jobs (id, job_type, job, status, attempts, fence, max_attempts, done_at, lock_by, lock_at)
        SELECT $2 || lpad(n::text, 16, '0'), 'work', '{\"number\":0}', 'Done', 1, 1, 5, now(), 'gone', now()
        FROM generate_series(1, $1) AS n";
    // Ids of this moment, as they would be.
    let now = &ulid::Ulid::generate().to_string()[..10];
    sqlx::query(sql).bind(i64::try_from(jobs).unwrap()).bind(now).execute(pool).await.unwrap();
}

async fn single(pool: &PgPool, jobs: u64) {
    let mut conn = pool.acquire().await.unwrap();
    for number in 0..jobs {
        enqueue(&mut conn, &BenchJob { number }, &Enqueue::new()).await.unwrap();
    }
}

/// Each writer commits a job at a time. A worker of another queue listens, so that notifications cost what they cost, and no
/// claim disturbs.
async fn commits(url: &str, jobs: u64, writers: u64, is_inside: bool) -> serde_json::Value {
    let database = PgConnectOptions::from_str(url).unwrap();
    let supervisor = Supervisor::start(unpruned(), &database).unwrap();
    supervisor.work(QueueOptions::new(1), |_: OtherJob, _: Lease| std::future::ready(Ok(()))).unwrap();
    let notifier = Notifier::start(Schema::default(), &database, false);
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(u32::try_from(writers).unwrap());
    let pool = pool.min_connections(u32::try_from(writers).unwrap()).connect(url).await.unwrap();
    let write = async |writer: u64| {
        let mut conn = pool.acquire().await.unwrap();
        for number in (writer..jobs).step_by(usize::try_from(writers).unwrap()) {
            let mut tx = sqlx::Connection::begin(&mut *conn).await.unwrap();
            enqueue(&mut tx, &BenchJob { number }, &Enqueue::new()).await.unwrap();
            if is_inside {
                sqlx::query("NOTIFY apalis_jobs, 'work'").execute(&mut *tx).await.unwrap();
            } else {
                // A round trip here too.
                sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap();
            }
            tx.commit().await.unwrap();
            if !is_inside {
                notifier.notify(BenchJob::QUEUE);
            }
        }
    };
    let answer = timed(jobs, async { _ = futures::future::join_all((0..writers).map(write)).await }).await;
    notifier.close().await;
    supervisor.drain(Duration::from_secs(10)).await;
    answer
}

/// What the handlers of a drain share.
struct Drain {
    left: AtomicU64,
    ended: Notify,
    touch: Option<PgPool>,
}

impl Drain {
    fn new(jobs: u64, touch: Option<PgPool>) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(jobs), ended: Notify::new(), touch })
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.ended.notify_one();
        }
    }
}

async fn run(job: BenchJob, lease: Lease, drain: Arc<Drain>) -> Result<(), JobError> {
    if let Some(pool) = &drain.touch {
        let mut tx = pool.begin().await?;
        lease.complete(&mut tx).await?;
        let update = "UPDATE touched SET n = n + 1 WHERE id = $1";
        sqlx::query(update).bind(i64::try_from(job.number % 1000).unwrap()).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    drain.one_less();
    Ok(())
}

/// From the start of the process's queue until every end is durable.
async fn drain(pool: &PgPool, url: &str, jobs: u64, concurrency: u64, ahead: u64, touch: bool) -> serde_json::Value {
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(u32::try_from(concurrency.min(64)).unwrap());
    let shared = Drain::new(jobs, if touch { Some(options.connect(url).await.unwrap()) } else { None });
    let begin = Instant::now();
    let database = PgConnectOptions::from_str(url).unwrap();
    let supervisor = Supervisor::start(unpruned(), &database).unwrap();
    let options = QueueOptions::new(usize::try_from(concurrency).unwrap()).prefetch(usize::try_from(ahead).unwrap());
    let state = Arc::clone(&shared);
    supervisor.work(options, move |job, lease| run(job, lease, Arc::clone(&state))).unwrap();
    shared.ended.notified().await;
    // Returns when everything is written.
    supervisor.drain(Duration::from_mins(1)).await;
    let seconds = begin.elapsed().as_secs_f64();
    let done: i64 =
        sqlx::query_scalar("SELECT count(*) FROM apalis.jobs WHERE status = 'Running'").fetch_one(pool).await.unwrap();
    assert_eq!(done, 0);
    json!({ "jobs": jobs, "seconds": seconds })
}

/// When each job began.
type Begun = Arc<Mutex<Vec<(u64, Instant)>>>;

/// A handler that notes it.
fn note(begun: &Begun) -> impl Handler<BenchJob> + use<> {
    let begun = Arc::clone(begun);
    move |job: BenchJob, _: Lease| {
        begun.lock().unwrap().push((job.number, Instant::now()));
        std::future::ready(Ok(()))
    }
}

async fn latency(pool: &PgPool, url: &str, jobs: u64, gap: Duration) -> serde_json::Value {
    let begun = Begun::default();
    let database = PgConnectOptions::from_str(url).unwrap();
    let supervisor = Supervisor::start(unpruned(), &database).unwrap();
    supervisor.work(QueueOptions::new(8), note(&begun)).unwrap();
    let mut conn = pool.acquire().await.unwrap();
    // The first ones warm up.
    let warm = 50;
    let mut committed = Vec::new();
    let mut tick = tokio::time::interval(gap);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0..warm + jobs {
        tick.tick().await;
        let mut tx = sqlx::Connection::begin(&mut *conn).await.unwrap();
        enqueue(&mut tx, &BenchJob { number }, &Enqueue::new()).await.unwrap();
        committed.push(Instant::now());
        tx.commit().await.unwrap();
        supervisor.notifier().notify(BenchJob::QUEUE);
    }
    while begun.lock().unwrap().len() < committed.len() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    supervisor.drain(Duration::from_secs(10)).await;
    let begun = begun.lock().unwrap();
    let measured = begun.iter().filter(|(number, _)| *number >= warm);
    let waits = measured.map(|(number, at)| at.saturating_duration_since(committed[usize::try_from(*number).unwrap()]));
    json!({ "waits_ms": waits.map(|wait| wait.as_secs_f64() * 1000.0).collect::<Vec<_>>() })
}

/// Works until it is killed; a job takes so long. Says when one has begun.
async fn hold(url: &str, length: Duration) -> serde_json::Value {
    let work = move |_: BenchJob, _: Lease| async move {
        println!("begun");
        tokio::time::sleep(length).await;
        Ok(())
    };
    let supervisor = Supervisor::start(unpruned(), &PgConnectOptions::from_str(url).unwrap()).unwrap();
    supervisor.work(QueueOptions::new(1), work).unwrap();
    std::future::pending().await
}

/// Starts such a worker in a process of its own, and adds a job that it begins.
async fn holder(pool: &PgPool, url: &str, seconds: u64) -> tokio::process::Child {
    let mut child = tokio::process::Command::new(env::current_exe().unwrap())
        .args(["darkroom", url, "hold", &seconds.to_string()])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    enqueue(&mut pool.acquire().await.unwrap(), &BenchJob { number: 0 }, &Enqueue::new()).await.unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("begun"));
    child
}

/// From the death of a worker to the start of its job in another process, by default settings.
async fn crash(pool: &PgPool, url: &str, times: u64) -> serde_json::Value {
    let begun = Begun::default();
    let mut waits = Vec::new();
    for _ in 0..times {
        let mut killed = holder(pool, url, 3600).await;
        let supervisor = Supervisor::start(unpruned(), &PgConnectOptions::from_str(url).unwrap()).unwrap();
        supervisor.work(QueueOptions::new(8), note(&begun)).unwrap();
        // As in a fleet: the others have worked for long.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let at = Instant::now();
        killed.kill().await.unwrap();
        while begun.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (_, start) = begun.lock().unwrap().pop().unwrap();
        waits.push((start - at).as_secs_f64() * 1000.0);
        supervisor.drain(Duration::from_secs(10)).await;
    }
    json!({ "waits_ms": waits })
}

/// Whether a job that takes so long is ever begun again.
async fn long(pool: &PgPool, url: &str, seconds: u64) -> serde_json::Value {
    let mut worker = holder(pool, url, seconds).await;
    let mut idle = tokio::process::Command::new(env::current_exe().unwrap())
        .args(["darkroom", url, "hold", "1"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sql = "SELECT attempts FROM apalis.jobs WHERE status = 'Done'";
    let attempts = loop {
        match sqlx::query_scalar::<_, i32>(sql).fetch_optional(pool).await.unwrap() {
            Some(attempts) => break attempts,
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    worker.kill().await.unwrap();
    idle.kill().await.unwrap();
    json!({ "attempts": attempts })
}

/// The table as apalis-postgres makes it.
async fn stock_schema(pool: &PgPool) {
    sqlx::raw_sql("DROP SCHEMA apalis CASCADE").execute(pool).await.unwrap();
    PostgresStorage::setup(pool).await.unwrap();
}

async fn stock_fill(pool: &PgPool, jobs: u64) {
    let numbers: Vec<u64> = (0..jobs).collect();
    for batch in numbers.chunks(1000) {
        let task = |&number: &u64| -> PgTask {
            TaskBuilder::new(serde_json::to_vec(&BenchJob { number }).unwrap()).max_attempts(5).build()
        };
        let mut tx = pool.begin().await.unwrap();
        apalis_postgres::queries::push_tasks(&mut *tx, "work", batch.iter().map(task).collect()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn stock_run(_: BenchJob, drain: Data<Arc<Drain>>) -> Result<(), BoxError> {
    drain.one_less();
    Ok(())
}

/// Ends when every row says `Done`: its own drain can hang with many jobs in flight, and loses their ends.
async fn stock_drain(pool: &PgPool, jobs: u64, batch: u64) -> serde_json::Value {
    let shared = Drain::new(jobs, None);
    let begin = Instant::now();
    let config = Config::default().queue("work").batch_size(usize::try_from(batch).unwrap());
    let backend =
        PostgresStorage::<BenchJob>::new(pool).with_config(config).poll_with_interval(Duration::from_millis(20));
    let worker = WorkerBuilder::new("stock").backend(backend).data(Arc::clone(&shared)).build(stock_run);
    let running = tokio::spawn(worker.run().boxed());
    shared.ended.notified().await;
    let left = "SELECT count(*) FROM apalis.jobs WHERE status <> 'Done'";
    while sqlx::query_scalar::<_, i64>(left).fetch_one(pool).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = begin.elapsed().as_secs_f64();
    running.abort();
    json!({ "jobs": jobs, "seconds": seconds })
}
