//! The connection pool, and the migrations that both binaries carry.

use std::{str::FromStr as _, time::Duration};

use darkroom_queue::SchemaError;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tracing::warn;

use crate::settings::DatabaseSettings;

/// The application's migrations. The queue has its own (`crates/queue/migrations`), with its own bookkeeping.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

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
    /// A newer Darkroom has migrated this database; this one does not know what its tables mean.
    #[error("the database is at migration {found}, newer than this binary's {known}: run a newer Darkroom")]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration this binary carries.
        known: i64,
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
            Self::MigrateQueue(_) | Self::Queue(_) | Self::Newer { .. } | Self::Behind => false,
        }
    }
}

/// Whether Postgres is away, starting, stopping or out of connections, rather than being asked something wrong.
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        // SQLSTATE classes (PostgreSQL manual, appendix A): connection exception, transaction rollback,
        // insufficient resources, operator intervention.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)))
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
pub async fn wait_and_open(settings: &DatabaseSettings) -> Result<PgPool, DatabaseError> {
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
pub async fn open(settings: &DatabaseSettings) -> Result<PgPool, DatabaseError> {
    let pool = connect(settings).await?;
    if settings.migrate_on_start {
        migrate(&pool).await?;
    } else {
        verify(&mut *pool.acquire().await?).await?;
    }
    Ok(pool)
}

/// Opens the pool. Waits at most 10 s for the server.
pub async fn connect(settings: &DatabaseSettings) -> Result<PgPool, DatabaseError> {
    let options = PgConnectOptions::from_str(settings.url.expose()).map_err(DatabaseError::Connect)?;
    let mut options = options.application_name("darkroom");
    if !settings.pooler {
        // Migrations that meet their own work ("already exists, skipping") are no news.
        options = options.options([("client_min_messages", "warning")]);
    }
    PgPoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await
        .map_err(DatabaseError::Connect)
}

/// Brings the database to this binary's schema, once however many replicas start together. Run it against Postgres itself:
/// a pooler would give the lock that the application's migrations take to another session.
///
/// # Errors
/// [`DatabaseError::Newer`] where a newer Darkroom has migrated; [`darkroom_queue::MigrateError::Foreign`] where an
/// unreleased version of Darkroom has: its data must go.
pub async fn migrate(pool: &PgPool) -> Result<(), DatabaseError> {
    darkroom_queue::migrate(pool).await?;
    // A connection of its own: should this task be cancelled, the lock goes with the connection.
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    if newest_applied(&mut connection).await?.is_none_or(|applied| applied < newest_known()) {
        MIGRATIONS.run_direct(None, &mut connection, false).await?;
    }
    let verified = verify(&mut connection).await;
    connection.close().await?;
    verified
}

/// Checks that this binary can use the schema: the application's is exactly its own, neither behind nor ahead, and the
/// queue's is compatible.
pub async fn verify(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    match newest_applied(connection).await? {
        Some(applied) if applied == newest_known() => {}
        Some(found) if found > newest_known() => return Err(DatabaseError::Newer { found, known: newest_known() }),
        _ => return Err(DatabaseError::Behind),
    }
    match darkroom_queue::verify(connection).await {
        Ok(()) => Ok(()),
        Err(SchemaError::Missing(_) | SchemaError::Older { .. }) => Err(DatabaseError::Behind),
        Err(error) => Err(DatabaseError::Queue(error)),
    }
}

fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn newest_applied(connection: &mut PgConnection) -> Result<Option<i64>, DatabaseError> {
    // Not sqlx's `ensure_migrations_table`: a readiness probe must not need the right to create tables.
    let there = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    if !there.fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    let newest = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success");
    Ok(newest.fetch_one(connection).await?)
}
