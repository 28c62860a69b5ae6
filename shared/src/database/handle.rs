//! The handle through which a process uses Postgres: a pool, and deadlines that the process enforces itself.
//!
//! sqlx's pool alone can be lost for ever: it pings a connection without a limit when it is returned, so a connection that
//! has gone silent is never given back. Here every use has a deadline, and a connection goes back to the pool only after
//! a use that succeeded. After an error, a deadline, or when the caller's future was dropped, it is closed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, SqlSafeStr as _,
    pool::{PoolConnection, PoolConnectionMetadata},
    postgres::PgPoolOptions,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::options::{self, CLIENT_CHECK, Limits};
use crate::settings::DatabaseSettings;

/// How long a use waits for a connection, a new one included.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How much longer a use may take than one statement: time for the server's own timeout to arrive first.
const REPLY_MARGIN: Duration = Duration::from_secs(3);
/// How long a test of a connection may take.
const PROBE: Duration = Duration::from_secs(1);
/// A connection that was idle for longer is tested before its next use.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A process's connections to Postgres. Cheap to clone.
///
/// Every use is a closure: [`Self::run`] for statements on their own, [`Self::transaction`] for one transaction,
/// [`Self::search`] for a statement that may be slow. Each fails with an error that
/// [`is_passing`](super::is_passing) when Postgres does not reply in time.
///
/// An error of the closure closes its connection. So return what is no fault of the database as a value.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    faults: Arc<Faults>,
    searches: Arc<Semaphore>,
    /// Longest time of a use, after it has its connection.
    deadline: Duration,
    search_timeout: Duration,
    pooler: bool,
}

/// When connections were last found to be lost or doubtful.
#[derive(Debug, Default)]
struct Faults {
    /// A connection did not reply: those that were idle at that time are closed.
    silent: Mutex<Option<Instant>>,
    /// A use failed: connections that were idle at that time are tested.
    failed: Mutex<Option<Instant>>,
}

impl Faults {
    fn record(fault: &Mutex<Option<Instant>>) {
        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the fault happened during this time up to now.
    fn is_within(fault: &Mutex<Option<Instant>>, time: Duration) -> bool {
        fault.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() <= time)
    }
}

impl Database {
    /// Opens the pool, and one connection.
    pub(super) async fn connect(settings: &DatabaseSettings) -> Result<Self, sqlx::Error> {
        let database = Self::connect_lazily(settings)?;
        database.probe().await?;
        Ok(database)
    }

    fn connect_lazily(settings: &DatabaseSettings) -> Result<Self, sqlx::Error> {
        let connect_options = options::connect_options(settings)?;
        let faults = Arc::new(Faults::default());
        let pooler = settings.pooler;
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move { timeout(PROBE, prepare(connection, pooler)).await.map_err(|_| silent())? })
            })
            .before_acquire({
                let faults = Arc::clone(&faults);
                move |connection, metadata| {
                    let faults = Arc::clone(&faults);
                    Box::pin(async move { Ok(is_usable(connection, &metadata, &faults).await) })
                }
            })
            .connect_lazy_with(connect_options);
        // The other half of the connections is left to everything else.
        let searches = (settings.connections / 2).max(1);
        Ok(Self {
            pool,
            faults,
            searches: Arc::new(Semaphore::new(searches as usize)),
            deadline: settings.statement_timeout + REPLY_MARGIN,
            search_timeout: settings.search_timeout,
            pooler,
        })
    }

    /// The pool itself, for migrations and tests. It has no deadlines.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Runs statements, each a transaction of its own.
    ///
    /// # Errors
    /// Those of `work`; [`sqlx::Error::PoolTimedOut`] without a connection; [`sqlx::Error::Io`] at the deadline.
    pub async fn run<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.acquire(None).await?;
        let result = self.within(self.deadline, work(connection.get()?)).await;
        self.finish(connection, result)
    }

    /// Runs statements in one transaction. It commits after `Ok`, and is rolled back after `Err`.
    ///
    /// # Errors
    /// As [`Self::run`]. After a failed commit its outcome is unknown.
    pub async fn transaction<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.acquire(None).await?;
        self.transact(connection, Limits::default(), work).await
    }

    /// Runs a transaction as [`Self::transaction`] does, in which `work` may also wait for something else than Postgres,
    /// for example the bucket, for at most this time.
    ///
    /// # Errors
    /// As [`Self::transaction`]. The server ends the session if it waits longer.
    pub async fn transaction_with_wait<T, E: From<sqlx::Error>>(
        &self,
        wait: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.acquire(None).await?;
        self.transact(connection, Limits { wait: Some(wait), ..Limits::default() }, work).await
    }

    /// Runs a transaction as [`Self::transaction`] does, whose commit does not wait for the disk: a crash of Postgres within 0.6 s
    /// (three times `wal_writer_delay`) undoes it.
    ///
    /// # Errors
    /// As [`Self::transaction`].
    pub async fn transaction_without_flush<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.acquire(None).await?;
        self.transact(connection, Limits { asynchronous_commit: true, ..Limits::default() }, work).await
    }

    /// Runs a transaction as [`Self::transaction`] does, in which Postgres scans no table sequentially where an index could serve:
    /// for tables that have just grown, whose size it does not know yet.
    ///
    /// # Errors
    /// As [`Self::transaction`].
    pub async fn transaction_by_indexes<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.acquire(None).await?;
        self.transact(connection, Limits { indexes_only: true, ..Limits::default() }, work).await
    }

    /// Runs statements that may read much, in a transaction with a shorter statement timeout in which Postgres scans no table
    /// sequentially where an index could serve. At most half of the connections search at once, so that searches delay only one
    /// another.
    ///
    /// # Errors
    /// As [`Self::run`]; `SQLSTATE 57014` when the search takes too long.
    pub async fn search<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let permit = timeout(ACQUIRE, Arc::clone(&self.searches).acquire_owned()).await;
        let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = self.acquire(Some(permit)).await?;
        let limits = Limits { statement: Some(self.search_timeout), indexes_only: true, ..Limits::default() };
        self.transact(connection, limits, work).await
    }

    /// Checks that the server replies and accepts writes.
    ///
    /// # Errors
    /// As [`Self::run`]. New connections to a read-only server are refused, so its error is that there is none.
    pub async fn probe(&self) -> Result<(), sqlx::Error> {
        self.run(async |connection| check_writable(connection).await).await
    }

    /// Closes the connections, and waits at most 2 s for it.
    pub async fn close(&self) {
        // Closing sends a message to Postgres; the timeout is for a Postgres that does not respond.
        let _ = timeout(Duration::from_secs(2), self.pool.close()).await;
    }

    async fn transact<T, E: From<sqlx::Error>>(
        &self,
        mut connection: CheckedOut,
        limits: Limits,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = AssertSqlSafe(options::begin(self.pooler, &limits)).into_sql_str();
        let raw = connection.get()?;
        let transaction = async {
            let mut transaction = raw.begin_with(begin).await?;
            let value = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(value)
        };
        let deadline = self.deadline + limits.wait.unwrap_or_default();
        let result = self.within(deadline, transaction).await;
        self.finish(connection, result)
    }

    async fn acquire(&self, search: Option<OwnedSemaphorePermit>) -> Result<CheckedOut, sqlx::Error> {
        let connection = self.pool.acquire().await;
        Ok(CheckedOut { connection: Some(connection.inspect_err(|_| Faults::record(&self.faults.failed))?), search })
    }

    async fn within<T, E: From<sqlx::Error>>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        timeout(deadline, work).await.unwrap_or_else(|_| {
            Faults::record(&self.faults.silent);
            Err(silent().into())
        })
    }

    fn finish<T, E>(&self, connection: CheckedOut, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => connection.release(),
            Err(_) => Faults::record(&self.faults.failed),
        }
        result
    }
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "Postgres did not reply in time"))
}

/// Prepares a new connection.
async fn prepare(connection: &mut PgConnection, pooler: bool) -> Result<(), sqlx::Error> {
    check_writable(connection).await?;
    if !pooler {
        let watch = sqlx::query(options::WATCH_CLIENT).bind(options::milliseconds(CLIENT_CHECK));
        match watch.execute(connection).await {
            // The server's platform cannot do it: abandoned statements run until their timeout.
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fails if the server does not accept writes: a standby, or a primary that was demoted.
async fn check_writable(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let read_only: bool =
        sqlx::query_scalar("SELECT current_setting('transaction_read_only')::boolean").fetch_one(connection).await?;
    if read_only {
        return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "Postgres is read-only")));
    }
    Ok(())
}

/// Whether an idle connection may be used. Otherwise it is closed, and the pool tries the next.
async fn is_usable(connection: &mut PgConnection, metadata: &PoolConnectionMetadata, faults: &Faults) -> bool {
    let idle = metadata.idle_for;
    if Faults::is_within(&faults.silent, idle) {
        // Testing each of them would take a timeout each.
        return false;
    }
    if idle < TRUSTED_IDLE && !Faults::is_within(&faults.failed, idle) {
        return true;
    }
    if let Ok(result) = timeout(PROBE, check_writable(connection)).await {
        return result.is_ok();
    }
    Faults::record(&faults.silent);
    false
}

/// A connection in use. Dropped without [`Self::release`], it is closed without a word to the server, which may not listen.
struct CheckedOut {
    connection: Option<PoolConnection<Postgres>>,
    /// Of a search: given back when its statement has ended on the server too.
    search: Option<OwnedSemaphorePermit>,
}

impl CheckedOut {
    fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Gives the connection back. The pool pings it first, here with a limit.
    fn release(mut self) {
        if let Some(mut connection) = self.connection.take() {
            let returned = connection.return_to_pool();
            tokio::spawn(timeout(PROBE, returned));
        }
    }
}

impl Drop for CheckedOut {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        drop(connection.detach());
        if let (Some(permit), Ok(runtime)) = (self.search.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(2 * CLIENT_CHECK).await;
                drop(permit);
            });
        }
    }
}
