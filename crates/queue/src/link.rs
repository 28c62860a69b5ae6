//! A database connection that heals: one of the queue's few own connections.
//!
//! Not a pool's: a pool makes its users wait for one another, pings before use and gives up after a time. The queue's
//! tasks each hold one connection, drop it on any error, and try again for as long as the process lives.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tracing::{info, warn};

use super::backoff::jittered;

/// Longest time the server may work on one statement of the queue.
pub(super) const STATEMENT_TIME: Duration = Duration::from_secs(5);
/// Longest time to wait for an answer: longer, so that a statement that ran is known to have ended.
const ANSWER_TIME: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How the queue's own connections are set up. Its statements know their indexes; the settings keep the planner on them
/// when statistics are old, which in a queue they always are.
///
/// A pooler takes no settings from its clients: behind one they are the database user's own (docs/queue.md).
pub(super) fn own_connections(options: PgConnectOptions, pooler: bool) -> PgConnectOptions {
    let options = options.application_name("darkroom-queue").statement_cache_capacity(256);
    if pooler {
        return options;
    }
    let statement_time = STATEMENT_TIME.as_millis().to_string();
    options.options([
        ("jit", "off"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_sort", "off"),
        ("lock_timeout", "2000"),
        ("statement_timeout", &statement_time),
        ("idle_in_transaction_session_timeout", "10000"),
    ])
}

/// One healing connection.
pub(super) struct Link {
    task: &'static str,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    pause: Duration,
    longest_pause: Duration,
    last_failure: Option<Instant>,
}

impl Link {
    /// A connection for the named task, opened when it is first used.
    ///
    /// `longest_pause` between two tries is to be a fraction of the lease: who comes back from an outage a whole lease
    /// after the others is taken for dead, with live jobs.
    pub(super) fn new(task: &'static str, options: PgConnectOptions, longest_pause: Duration) -> Self {
        Self { task, options, connection: None, pause: FIRST_PAUSE, longest_pause, last_failure: None }
    }

    /// The connection, opened if there is none.
    pub(super) async fn open(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => within(PgConnection::connect_with(&self.options)).await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Gives the connection up for a while. The next [`Self::open`] makes a new one.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // What goes wrong with a farewell harms nobody.
            let _ = within(connection.close()).await;
        }
    }

    /// Waits for the next of passes that lie far apart: about `pause` after a good one, with the connection given up
    /// meanwhile; after an error as [`Self::failed`] does.
    pub(super) async fn rest(&mut self, result: Result<(), sqlx::Error>, pause: Duration) {
        match result {
            Ok(()) => {
                self.close().await;
                tokio::time::sleep(jittered(pause)).await;
            }
            Err(error) => self.failed(&error).await,
        }
    }

    /// To be called after an error: drops the connection, whose state is unknown, and waits a little, longer each time.
    pub(super) async fn failed(&mut self, error: &sqlx::Error) {
        self.connection = None;
        let recent = self.last_failure.is_some_and(|last| last.elapsed() < 4 * self.longest_pause);
        self.last_failure = Some(Instant::now());
        if recent {
            self.pause = (self.pause * 2).min(self.longest_pause);
            info!(task = self.task, %error, "the queue's database still fails");
        } else {
            self.pause = FIRST_PAUSE;
            warn!(task = self.task, %error, "the queue's database fails: waiting for it");
        }
        tokio::time::sleep(jittered(self.pause)).await;
    }
}

/// Bounds a wait for the database. What took too long is an error like any other of the connection.
pub(super) async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_TIME, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
