//! The schema: its migrations, and which schemas this binary works with.
//!
//! Versions run side by side during a deploy. A binary works with an older schema that lacks only
//! [`OPTIONAL`] migrations, and with a newer one whose `schema_floor` is not above its own newest migration. A migration
//! raises the floor only when it removes something that older binaries use.

use std::{collections::BTreeMap, time::Duration};

use darkroom_queue::SchemaError;
use sqlx::{
    Connection as _, PgConnection,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::{Database, DatabaseError, options::migration_options};

/// The application's migrations. The queue has its own (`crates/queue/migrations`), with its own bookkeeping.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Migrations that this binary can do without, by the words of their file names. A migration belongs here as long as no
/// statement of this version needs it.
const OPTIONAL: &[&str] = &["refolding"];

/// Longest time of all migrations together.
const MIGRATION_DEADLINE: Duration = Duration::from_hours(1);

/// A migration that was applied to the database.
#[derive(sqlx::FromRow)]
struct Applied {
    version: i64,
    success: bool,
    checksum: Vec<u8>,
}

/// Brings the database to this binary's schema, once however many replicas start together. Does nothing to a newer schema
/// that this binary works with. Needs a direct connection: a pooler would give the lock that the application's migrations
/// take to another session.
///
/// # Errors
/// Those of [`verify`]; [`darkroom_queue::MigrateError::Foreign`] where an unreleased version of Darkroom has migrated:
/// its data must go.
pub async fn migrate(database: &Database) -> Result<(), DatabaseError> {
    let options = migration_options(database.pool().connect_options().as_ref().clone());
    match timeout(MIGRATION_DEADLINE, migrate_with(options)).await {
        Ok(migrated) => migrated,
        Err(_) => Err(DatabaseError::Sql(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

async fn migrate_with(options: PgConnectOptions) -> Result<(), DatabaseError> {
    // The queue takes only the options of the pool.
    darkroom_queue::migrate(&PgPoolOptions::new().connect_lazy_with(options.clone())).await?;
    // A connection of its own: should this task be cancelled, the lock goes with the connection.
    let mut connection = PgConnection::connect_with(&options).await?;
    if lacks_migrations(&mut connection).await? {
        MIGRATIONS.run_direct(None, &mut connection, false).await?;
    }
    let verified = verify(&mut connection).await;
    connection.close().await?;
    verified
}

/// Checks that this binary can use the schema of the application and of the queue. Needs the right to read only.
///
/// # Errors
/// [`DatabaseError::Behind`], [`DatabaseError::Newer`], [`DatabaseError::Gap`], [`DatabaseError::Changed`],
/// [`DatabaseError::UnknownMigration`], [`DatabaseError::Queue`].
pub async fn verify(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    match compare(connection).await? {
        Some(missing) if !OPTIONAL.contains(&missing) => return Err(DatabaseError::Behind),
        _ => {}
    }
    match darkroom_queue::verify(connection).await {
        Ok(()) => Ok(()),
        Err(SchemaError::Missing(_) | SchemaError::Older { .. }) => Err(DatabaseError::Behind),
        Err(error) => Err(DatabaseError::Queue(error)),
    }
}

async fn lacks_migrations(connection: &mut PgConnection) -> Result<bool, DatabaseError> {
    Ok(compare(connection).await?.is_some())
}

/// Compares the applied migrations with this binary's, one by one. Returns the description of the first that is missing
/// and that this binary needs, or else of the first that is missing.
async fn compare(connection: &mut PgConnection) -> Result<Option<&'static str>, DatabaseError> {
    let applied = applied(connection).await?;
    let known = || MIGRATIONS.iter().filter(|migration| migration.migration_type.is_up_migration());
    let newest_known = known().map(|migration| migration.version).max().unwrap_or(0);
    let newest_applied = applied.keys().max().copied().unwrap_or(0);
    let mut missing = Vec::new();
    for migration in known() {
        match applied.get(&migration.version) {
            Some(row) if row.success && row.checksum != *migration.checksum => {
                return Err(DatabaseError::Changed { version: migration.version });
            }
            Some(row) if row.success => {}
            None if newest_applied > migration.version => {
                return Err(DatabaseError::Gap { version: migration.version });
            }
            _ => missing.push(migration.description.as_ref()),
        }
    }
    if let Some(&version) = applied.keys().find(|&&version| known().all(|migration| migration.version != version)) {
        if version < newest_known {
            return Err(DatabaseError::UnknownMigration { version });
        }
        if floor(connection).await?.is_none_or(|floor| floor > newest_known) {
            return Err(DatabaseError::Newer { found: newest_applied, known: newest_known });
        }
    }
    let required = missing.iter().find(|description| !OPTIONAL.contains(description));
    Ok(required.or(missing.first()).copied())
}

async fn applied(connection: &mut PgConnection) -> Result<BTreeMap<i64, Applied>, DatabaseError> {
    // Not sqlx's `ensure_migrations_table`: a readiness probe must not need the right to create tables.
    if !has_table(connection, "_sqlx_migrations").await? {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<Applied> =
        sqlx::query_as("SELECT version, success, checksum FROM _sqlx_migrations").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.version, row)).collect())
}

/// The oldest newest migration of a binary that may use this database; `None` in a database without a floor.
async fn floor(connection: &mut PgConnection) -> Result<Option<i64>, DatabaseError> {
    if !has_table(connection, "schema_floor").await? {
        return Ok(None);
    }
    Ok(sqlx::query_scalar("SELECT migration FROM schema_floor").fetch_optional(connection).await?)
}

async fn has_table(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(name).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_migrations_exist() {
        for optional in OPTIONAL {
            assert!(MIGRATIONS.iter().any(|migration| migration.description == *optional), "{optional}");
        }
    }
}
