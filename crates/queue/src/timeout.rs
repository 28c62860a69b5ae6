//! Time limits of the queue's own statements.

use std::time::Duration;

/// Longest time the server may work on one statement of the queue.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time to wait for a reply: longer, so that a statement that ran is known to have ended.
const REPLY_TIMEOUT: Duration = Duration::from_secs(8);

/// Limits a wait for the database. A timeout is an error like any other of the connection.
pub(crate) async fn with_timeout<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(REPLY_TIMEOUT, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
