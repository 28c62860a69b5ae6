//! Settings of Postgres.

use std::time::Duration;

use url::Url;

use super::{
    parse::parse,
    reader::Reader,
    secret::Secret,
    setting::{Setting, declare_settings},
};

declare_settings! {
    DATABASE_URL = Setting::new("Postgres 14 or newer, postgres://user:password@host/database. Required.");
    DATABASE_CONNECTIONS = Setting::with_default("10", "Maximum connections of a process, besides the few of its queue, 2 to 1000.");
    DATABASE_STATEMENT_SECONDS = Setting::with_default("5", "Longest time of one statement, 1 to 300. A use of the database without a reply for 3 s longer fails, and its connection is closed.");
    DATABASE_SEARCH_SECONDS = Setting::with_default("2", "Longest time of a search for a title, 1 to 60; no longer than DATABASE_STATEMENT_SECONDS. A slower search is answered 503.");
    MIGRATE_ON_START = Setting::with_default("true", "Whether a process migrates the database when it starts. If false, run `darkroom-api migrate`.");
    DATABASE_POOLER = Setting::with_default("false", "Whether DATABASE_URL is the address of a connection pooler in transaction mode (PgBouncer 1.21 or newer): see docs/queue.md.");
}

/// How Postgres is reached.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Contains the password.
    pub url: Secret,
    /// Maximum connections of the process's pool.
    pub connections: u32,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Longest time of a search for a title.
    pub search_timeout: Duration,
    /// Whether to migrate at start.
    pub migrate_on_start: bool,
    /// Whether `url` is the address of a connection pooler in transaction mode.
    pub pooler: bool,
}

impl DatabaseSettings {
    /// A server that is reached without a pooler and migrated at start.
    pub fn direct(url: &str, connections: u32) -> Self {
        Self {
            url: Secret::from(url),
            connections,
            statement_timeout: Duration::from_secs(5),
            search_timeout: Duration::from_secs(2),
            migrate_on_start: true,
            pooler: false,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = reader.required(&DATABASE_URL, |text| match Url::parse(text) {
            Ok(url) if ["postgres", "postgresql"].contains(&url.scheme()) => Ok(Secret::from(text)),
            _ => Err("a URL such as postgres://user:password@host/database".to_owned()),
        });
        let connections = reader.number(&DATABASE_CONNECTIONS, 2, 1000);
        let statement_timeout = reader.seconds(&DATABASE_STATEMENT_SECONDS, 1, 300);
        let search_timeout = reader.seconds(&DATABASE_SEARCH_SECONDS, 1, 60);
        if search_timeout > statement_timeout && statement_timeout.is_some() {
            reader.error("DATABASE_SEARCH_SECONDS must not be more than DATABASE_STATEMENT_SECONDS");
        }
        let migrate_on_start = reader.required(&MIGRATE_ON_START, parse::<bool>("true or false"));
        let pooler = reader.required(&DATABASE_POOLER, parse::<bool>("true or false"));
        if pooler == Some(true) && migrate_on_start == Some(true) {
            // The migration's session lock would stay on a server connection that the pooler gives to another client.
            reader.error(
                "MIGRATE_ON_START must be false with DATABASE_POOLER: migrations need a direct connection to Postgres",
            );
        }
        Some(Self {
            url: url?,
            connections: connections?,
            statement_timeout: statement_timeout?,
            search_timeout: search_timeout?,
            migrate_on_start: migrate_on_start?,
            pooler: pooler?,
        })
    }
}
