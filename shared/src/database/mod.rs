//! Postgres: the process's connections, with deadlines, and the schema.
//!
//! | file | what it holds |
//! |---|---|
//! | `handle.rs` | [`Database`]: every use of Postgres, with its deadline |
//! | `options.rs` | how connections are opened |
//! | `schema.rs` | migrations, and which schemas this binary works with |

mod handle;
mod options;
mod schema;

use std::time::Duration;

use darkroom_queue::SchemaError;
use sqlx::migrate::MigrateError;
use tracing::warn;

pub use self::{
    handle::Database,
    schema::{migrate, verify},
};
use crate::settings::DatabaseSettings;

/// What can go wrong between us and the database's schema.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL cannot be parsed, or the server does not answer.
    #[error("cannot connect to Postgres: {0}")]
    Connect(#[source] sqlx::Error),
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// The queue's tables could not be created or upgraded.
    #[error("cannot migrate the queue: {0}")]
    MigrateQueue(#[from] darkroom_queue::MigrateError),
    /// The queue's tables are not those that this binary can use.
    #[error("cannot use the queue: {0}")]
    Queue(SchemaError),
    /// A migration failed, and was rolled back.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] MigrateError),
    /// A newer Darkroom has migrated this database, and its schema floor excludes this binary.
    #[error("the database is at migration {found}, which this binary (at {known}) cannot use: run a newer Darkroom")]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration this binary carries.
        known: i64,
    },
    /// A migration is missing although a later one was applied.
    #[error("the database lacks migration {version}, but has a later one: it was not migrated by Darkroom alone")]
    Gap {
        /// The missing migration.
        version: i64,
    },
    /// An applied migration is not the one that this binary has under its number.
    #[error("migration {version} of the database differs from this binary's: it comes from another version")]
    Changed {
        /// The migration.
        version: i64,
    },
    /// The database has a migration between this binary's own that this binary does not know.
    #[error("the database has a migration {version} that this binary does not know")]
    UnknownMigration {
        /// The migration.
        version: i64,
    },
    /// Migrations are switched off, and some are missing.
    #[error("the database lacks migrations: run `darkroom-api migrate`")]
    Behind,
}

impl DatabaseError {
    /// Whether a start is worth trying again. What TLS refuses stays refused.
    fn is_passing(&self) -> bool {
        match self {
            Self::Connect(sqlx::Error::Tls(_)) => false,
            Self::Connect(error)
            | Self::Sql(error)
            | Self::Queue(SchemaError::Sql(error))
            | Self::MigrateQueue(
                darkroom_queue::MigrateError::Sql(error)
                | darkroom_queue::MigrateError::Migration { source: error, .. },
            ) => is_passing(error),
            Self::Migrate(error) => is_passing_migration(error),
            Self::MigrateQueue(_)
            | Self::Queue(_)
            | Self::Newer { .. }
            | Self::Gap { .. }
            | Self::Changed { .. }
            | Self::UnknownMigration { .. }
            | Self::Behind => false,
        }
    }
}

/// SQLSTATEs and their classes (`PostgreSQL` manual, appendix A): connection exception, read-only transaction (after a
/// failover), transaction rollback, insufficient resources, lock not available, operator intervention.
const PASSING_STATES: [&str; 6] = ["08", "25006", "40", "53", "55P03", "57"];

/// Whether Postgres is away, starting, stopping, read-only, locked or out of connections, rather than being asked something wrong.
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| PASSING_STATES.iter().any(|prefix| code.starts_with(prefix)))
        }
        sqlx::Error::Migrate(error) => is_passing_migration(error),
        _ => false,
    }
}

fn is_passing_migration(error: &MigrateError) -> bool {
    matches!(error, MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) if is_passing(error))
}

/// Time between two attempts of [`wait_and_open`].
const PAUSE: Duration = Duration::from_secs(1);

/// What a starting service does: [`open`]s the database. A server that is away is waited for, as it is later on: for as long
/// as it takes, and with a warning each time.
///
/// # Errors
/// Where waiting would not help: a wrong password, a database that does not exist, a schema of another version.
pub async fn wait_and_open(settings: &DatabaseSettings) -> Result<Database, DatabaseError> {
    loop {
        match open(settings).await {
            Err(error) if error.is_passing() => {
                warn!("{error}; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Opens the pool, and migrates, or where that is switched off checks that it has been done.
pub async fn open(settings: &DatabaseSettings) -> Result<Database, DatabaseError> {
    let database = connect(settings).await?;
    if settings.migrate_on_start {
        migrate(&database).await?;
    } else {
        database.run(async |connection| verify(connection).await).await?;
    }
    Ok(database)
}

/// Opens the pool. Waits a few seconds for the server.
pub async fn connect(settings: &DatabaseSettings) -> Result<Database, DatabaseError> {
    Database::connect(settings).await.map_err(DatabaseError::Connect)
}

/// Whether Postgres ended a statement because it took too long.
pub fn is_statement_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57014")
}
