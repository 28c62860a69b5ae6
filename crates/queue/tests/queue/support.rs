//! A database for each test, a handler that records failures, and a proxy that can be cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use darkroom_queue::{
    Backoff, BoxError, Enqueue, Failure, Handler, Job, JobError, JobId, Lease, Notifier, QueueOptions, Schema,
    Supervisor, SupervisorOptions, enqueue, migrate,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::database as testing;

/// A database of a test's own.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) options: PgConnectOptions,
    pub(crate) notifier: Notifier,
}

pub(crate) async fn database() -> Database {
    let options = testing::database().await;
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    migrate(&pool).await.unwrap();
    sqlx::raw_sql("CREATE TABLE effects (id bigserial, what text)").execute(&pool).await.unwrap();
    let notifier = Notifier::start(Schema::default(), &options, false);
    Database { pool, options, notifier }
}

impl Database {
    /// Waits until a condition holds; panics with the jobs' rows when it never does.
    pub(crate) async fn until(&self, condition: &str) {
        let sql = format!("SELECT {condition}");
        for _ in 0..1500 {
            if sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone())).fetch_one(&self.pool).await.unwrap_or(false) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never came true: {condition}\n{}", self.rows().await);
    }

    pub(crate) async fn value<T>(&self, expression: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let sql = format!("SELECT {expression}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    async fn rows(&self) -> String {
        let sql = "SELECT string_agg((to_jsonb(jobs) - 'job')::text, E'\n') FROM apalis.jobs";
        sqlx::query_scalar::<_, Option<String>>(sql).fetch_one(&self.pool).await.unwrap().unwrap_or_default()
    }

    /// Enqueues a job and notifies the workers.
    pub(crate) async fn add(&self, name: &str, options: &Enqueue) -> JobId {
        let mut conn = self.pool.acquire().await.unwrap();
        let id = enqueue(&mut conn, &Note::new(name), options).await.unwrap().id();
        self.notifier.notify(Note::QUEUE);
        id
    }

    pub(crate) async fn effects(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT what FROM effects ORDER BY id").fetch_all(&self.pool).await.unwrap()
    }
}

/// Writes an effect that a test can look for.
pub(crate) async fn effect(conn: &mut PgConnection, what: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO effects (what) VALUES ($1)").bind(what).execute(conn).await?;
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) name: String,
}

impl Note {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

impl Job for Note {
    const QUEUE: &'static str = "note";
    const MAX_ATTEMPTS: u32 = 3;
}

/// Leases of 2 s, so that a test sees them run out; retries at once.
pub(crate) fn options() -> SupervisorOptions {
    SupervisorOptions::new("worker")
        .lease(LEASE)
        .heartbeat(Duration::from_millis(200))
        .stop_timeout(Duration::from_secs(2))
}

/// The lease of [`options`].
pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) fn queue_options() -> QueueOptions {
    QueueOptions::new(8).backoff(Backoff::exponential(Duration::from_millis(20), Duration::from_millis(100)))
}

/// A hook that leaves an effect: `name: reason/kind after n`.
pub(crate) async fn record_failure(tx: &mut PgConnection, note: &Note, why: &Failure) -> Result<(), BoxError> {
    let what = format!("{}: {}/{} after {}", note.name, why.reason, why.kind.as_str(), why.attempts);
    Ok(effect(tx, &what).await?)
}

/// A closure with the failure hook [`record_failure`].
struct Recording<F>(F);

impl<F, Fut> Handler<Note> for Recording<F>
where
    F: Fn(Note, Lease) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), JobError>> + Send,
{
    fn run(&self, job: Note, lease: Lease) -> impl Future<Output = Result<(), JobError>> + Send {
        (self.0)(job, lease)
    }

    async fn failed(&self, tx: &mut PgConnection, job: &Note, why: &Failure) -> Result<(), BoxError> {
        record_failure(tx, job, why).await
    }
}

/// Works on the queue of notes. Ends with the supervisor's drain.
pub(crate) fn work<F, Fut>(supervisor: &Supervisor, options: QueueOptions, handler: F)
where
    F: Fn(Note, Lease) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), JobError>> + Send + 'static,
{
    supervisor.work(options, Recording(handler)).unwrap();
}

pub(crate) fn supervise(database: &Database) -> Supervisor {
    Supervisor::start(options(), &database.options).unwrap()
}

/// A wire to Postgres that a test can cut, freeze and mend.
pub(crate) struct Wire {
    port: u16,
    state: watch::Sender<WireState>,
    closed: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireState {
    Up,
    /// Connections break, and new ones are refused.
    Cut,
    /// Connections stay, and nothing passes: the other end is gone without a word.
    Frozen,
}

impl Wire {
    pub(crate) async fn new(database: &Database) -> Self {
        let server = database.options.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, watching) = watch::channel(WireState::Up);
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        tokio::spawn(async move {
            while !is_closed.load(Ordering::Relaxed) {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, server.clone(), watching.clone()));
            }
        });
        Self { port, state, closed }
    }

    pub(crate) fn set(&self, state: WireState) {
        self.state.send_replace(state);
    }

    /// How to reach the database over this wire.
    pub(crate) fn options(&self, database: &Database) -> PgConnectOptions {
        database.options.clone().host("127.0.0.1").port(self.port)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

async fn carry(mut client: TcpStream, server: PgConnectOptions, mut state: watch::Receiver<WireState>) {
    let Ok(mut upstream) = TcpStream::connect((server.get_host(), server.get_port())).await else { return };
    // What was carried before a freeze is dropped with the bytes under way, as on a real wire.
    let mut frozen = false;
    loop {
        match *state.borrow_and_update() {
            WireState::Cut => return,
            WireState::Frozen => frozen = true,
            WireState::Up => {}
        }
        if frozen {
            if state.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => return,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}
