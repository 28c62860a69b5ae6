//! How connections are opened: the time limits that Postgres itself enforces, and what a pooler accepts.

use std::{str::FromStr as _, time::Duration};

use sqlx::postgres::PgConnectOptions;

use crate::settings::DatabaseSettings;

/// How long the server lets a session idle inside a transaction. A process that dies without closing its connections keeps
/// its row locks for this long.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);
/// How long a statement waits for a lock.
const LOCK: Duration = Duration::from_secs(3);
/// How long a statement of a migration waits for a lock. Includes the wait for another replica's migration.
const MIGRATION_LOCK: Duration = Duration::from_secs(30);
/// How often the server looks whether the client of a running statement is still connected. An abandoned statement ends
/// after this time.
pub(super) const CLIENT_CHECK: Duration = Duration::from_millis(500);

/// Run on every new connection without a pooler. Not a startup parameter, because a server on a platform that cannot
/// watch its clients refuses the value (`PostgreSQL` manual, 20.3.2), and would then refuse the connection.
pub(super) const WATCH_CLIENT: &str = "SELECT set_config('client_connection_check_interval', $1, false)";

/// The options of the process's connections.
///
/// Through a pooler no `options` are sent: a session's settings would stay on a server connection that serves other
/// clients, and `PgBouncer` refuses the parameter, as it refuses `extra_float_digits`.
pub(super) fn connect_options(settings: &DatabaseSettings) -> Result<PgConnectOptions, sqlx::Error> {
    let options = PgConnectOptions::from_str(settings.url.expose())?.application_name("darkroom");
    if settings.pooler {
        return Ok(options.extra_float_digits(None));
    }
    Ok(options.options([
        // Migrations that find their work done ("already exists, skipping") are no news.
        ("client_min_messages", "warning".to_owned()),
        ("statement_timeout", milliseconds(settings.statement_timeout)),
        ("lock_timeout", milliseconds(LOCK)),
        ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION)),
        // The server notices a host that has gone without a word within about 11 s. Ignored on Unix sockets.
        ("tcp_keepalives_idle", "5".to_owned()),
        ("tcp_keepalives_interval", "2".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", "10000".to_owned()),
    ]))
}

/// The options of the connections that migrate: no limit on a statement, and time for the lock of the migrations.
pub(super) fn migration_options(options: PgConnectOptions) -> PgConnectOptions {
    // Of two values of one parameter the later counts.
    options.options([
        ("statement_timeout", "0".to_owned()),
        ("idle_in_transaction_session_timeout", "0".to_owned()),
        ("lock_timeout", milliseconds(MIGRATION_LOCK)),
    ])
}

/// What differs in one transaction from the settings of its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Longest time of a statement.
    pub(super) statement: Option<Duration>,
    /// Longest time between two statements.
    pub(super) wait: Option<Duration>,
    /// No table is read from its beginning to its end where an index could serve.
    pub(super) indexes_only: bool,
    /// The commit does not wait for the disk.
    pub(super) asynchronous_commit: bool,
}

/// The statement that begins a transaction with these limits.
///
/// Through a pooler the limits are set for each transaction, because the connection has none.
pub(super) fn begin(pooler: bool, limits: &Limits) -> String {
    let mut statements = vec!["BEGIN".to_owned()];
    let mut set = |name, value: String| statements.push(format!("SET LOCAL {name} = {value}"));
    if let Some(timeout) = limits.statement {
        set("statement_timeout", milliseconds(timeout));
    }
    if pooler {
        set("lock_timeout", milliseconds(LOCK));
    }
    if let Some(wait) = limits.wait.or(pooler.then_some(IDLE_IN_TRANSACTION)) {
        set("idle_in_transaction_session_timeout", milliseconds(wait));
    }
    if limits.indexes_only {
        set("enable_seqscan", "off".to_owned());
    }
    if limits.asynchronous_commit {
        set("synchronous_commit", "off".to_owned());
    }
    statements.join("; ")
}

pub(super) fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_gets_no_startup_options() {
        let mut settings = DatabaseSettings::direct("postgres://me@localhost/x", 2);
        assert!(connect_options(&settings).unwrap().get_options().unwrap().contains("statement_timeout"));
        settings.pooler = true;
        assert_eq!(connect_options(&settings).unwrap().get_options(), None);
    }

    #[test]
    fn a_pooler_gets_its_limits_with_each_transaction() {
        assert_eq!(begin(false, &Limits::default()), "BEGIN");
        let search = Limits { statement: Some(Duration::from_secs(2)), indexes_only: true, ..Limits::default() };
        assert_eq!(begin(false, &search), "BEGIN; SET LOCAL statement_timeout = 2000; SET LOCAL enable_seqscan = off");
        let unflushed = Limits { asynchronous_commit: true, ..Limits::default() };
        assert_eq!(begin(false, &unflushed), "BEGIN; SET LOCAL synchronous_commit = off");
        assert!(begin(true, &Limits::default()).contains("idle_in_transaction_session_timeout = 10000"));
        let waiting = Limits { wait: Some(Duration::from_secs(70)), ..Limits::default() };
        assert!(begin(true, &waiting).contains("idle_in_transaction_session_timeout = 70000"));
    }
}
