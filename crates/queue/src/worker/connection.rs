//! The queue's own connections.
//!
//! Not those of a pool: a pool makes its users wait for one another, pings before use and gives up after a time. Each task
//! of the queue has one connection, drops it on any error, and reconnects for as long as the process lives.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tracing::{info, warn};

use crate::{
    backoff::jittered,
    timeout::{STATEMENT_TIMEOUT, with_timeout},
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The settings of the queue's own connections. The planner settings keep its statements on their indexes when statistics
/// are old, which in a queue they always are.
///
/// A pooler passes no settings on: behind one they are the database user's (README.md, "Poolers").
pub(crate) fn connection_options(options: PgConnectOptions, pooler: bool) -> PgConnectOptions {
    let options = options.application_name("queue").statement_cache_capacity(256);
    if pooler {
        // PgBouncer refuses to start a session with this parameter.
        return options.extra_float_digits(None);
    }
    let statement_timeout = STATEMENT_TIMEOUT.as_millis().to_string();
    options.options([
        ("jit", "off"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_sort", "off"),
        ("lock_timeout", "2000"),
        ("statement_timeout", &statement_timeout),
        ("idle_in_transaction_session_timeout", "10000"),
        // The server notices a host that has gone without a word within about 11 s, and releases its locks.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
    ])
}

/// A connection that is opened when it is needed, and again after an error.
pub(crate) struct ReconnectingConnection {
    task: &'static str,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    pause: Duration,
    max_pause: Duration,
    last_failure: Option<Instant>,
}

impl ReconnectingConnection {
    /// For the named task.
    ///
    /// `max_pause` between two tries must be a fraction of the lease: a process that reconnects a whole lease after the
    /// others would be taken for dead, with live jobs.
    pub(crate) fn new(task: &'static str, options: PgConnectOptions, max_pause: Duration) -> Self {
        Self { task, options, connection: None, pause: FIRST_PAUSE, max_pause, last_failure: None }
    }

    /// The connection, opened if there is none.
    pub(crate) async fn open(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => with_timeout(PgConnection::connect_with(&self.options)).await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Closes the connection until the next [`Self::open`].
    pub(crate) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The connection is of no further use, whatever the error.
            let _ = with_timeout(connection.close()).await;
        }
    }

    /// Waits between two passes that are far apart: about `pause` after a good one, with the connection closed meanwhile;
    /// after an error as [`Self::failed`] does.
    pub(crate) async fn rest(&mut self, result: Result<(), sqlx::Error>, pause: Duration) {
        match result {
            Ok(()) => {
                self.close().await;
                tokio::time::sleep(jittered(pause)).await;
            }
            Err(error) => self.failed(&error).await,
        }
    }

    /// After an error: drops the connection, whose state is unknown, and waits, longer each time.
    pub(crate) async fn failed(&mut self, error: &sqlx::Error) {
        self.connection = None;
        let is_recent = self.last_failure.is_some_and(|last| last.elapsed() < 4 * self.max_pause);
        self.last_failure = Some(Instant::now());
        if is_recent {
            self.pause = (self.pause * 2).min(self.max_pause);
            info!(task = self.task, %error, "the queue's database is still failing");
        } else {
            self.pause = FIRST_PAUSE;
            warn!(task = self.task, %error, "the queue's database failed: reconnecting");
        }
        tokio::time::sleep(jittered(self.pause)).await;
    }
}
