//! Creates and upgrades the tables of the queue, with a bookkeeping table of its own: `migrations` in the queue's schema.
//!
//! Each program that uses the queue carries these migrations. They run in one transaction, on a connection of their own
//! that is closed afterwards, under an advisory lock that ends with the transaction: replicas that start together take
//! turns, nothing is left locked, and a pooler does no harm. No other migrator's table is read or written.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use crate::schema::Schema;

/// A step from one version of the tables to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// From 1, without gaps.
    pub number: i32,
    /// What it does, in a few words.
    pub name: &'static str,
    /// Programs that do not know this migration must not use the tables after it.
    pub breaking: bool,
    /// The statements, for the schema `apalis`. [`Schema::migration_sql`] has them for another.
    pub sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "create the queue",
        breaking: true,
        sql: include_str!("../migrations/0001_queue.sql"),
    },
    Migration {
        number: 2,
        name: "idle attempts",
        breaking: false,
        sql: include_str!("../migrations/0002_idle_attempts.sql"),
    },
];

pub(crate) const BOOKKEEPING: &str = "
    CREATE TABLE IF NOT EXISTS apalis.migrations (
        number      integer PRIMARY KEY,
        name        text NOT NULL,
        breaking    boolean NOT NULL,
        applied_at  timestamptz NOT NULL DEFAULT now()
    )";
pub(crate) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('migrations of ' || $1::text, 0))";
pub(crate) const FIND_SCHEMA: &str = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL";
pub(crate) const FIND_TABLES: &str = "
    SELECT to_regclass(format('%I.migrations', $1::text)) IS NOT NULL, to_regclass(format('%I.jobs', $1::text)) IS NOT NULL";
pub(crate) const APPLIED: &str = "
    SELECT number, name, breaking FROM apalis.migrations ORDER BY number";
pub(crate) const RECORD: &str = "INSERT INTO apalis.migrations (number, name, breaking) VALUES ($1, $2, $3)";

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// There are none. Run [`migrate`].
    #[error("the schema {0} has no queue: its migrations have not run")]
    Missing(Schema),
    /// Migrations of this program have not run. Run [`migrate`].
    #[error(
        "the queue's tables are at migration {found}, older than this program's {known}: its migrations have not run"
    )]
    Older {
        /// The newest migration in the database.
        found: i32,
        /// The newest migration of this program.
        known: i32,
    },
    /// A newer program has changed the tables in a way that this one cannot work with.
    #[error(
        "the queue's tables have the breaking migration {found}, newer than this program's {known}: run a newer program"
    )]
    Breaking {
        /// The newest breaking migration in the database.
        found: i32,
        /// The newest migration of this program.
        known: i32,
    },
    /// A migration is missing although a later one has run.
    #[error("the queue's tables lack migration {number}, but have a later one")]
    Gap {
        /// The missing migration.
        number: i32,
    },
    /// A migration that has run is not the one that this program has under its number.
    #[error("migration {number} of the queue's tables is {found:?}, not this program's {known:?}")]
    Changed {
        /// The number.
        number: i32,
        /// Its name in the database.
        found: String,
        /// Its name in this program.
        known: &'static str,
    },
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Why the tables could not be created or upgraded. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The schema has a table `jobs` that these migrations have not made: apalis-postgres' or an unreleased version's.
    #[error("the schema {0} has a table jobs that is not this queue's: use an empty database or another schema")]
    Foreign(Schema),
    /// The tables cannot be used by this program: see [`SchemaError::Breaking`].
    #[error(transparent)]
    Schema(SchemaError),
    /// A migration failed.
    #[error("migration {number} of the queue failed: {source}")]
    Migration {
        /// Which one.
        number: i32,
        /// The error of Postgres.
        source: sqlx::Error,
    },
    /// Another statement failed, or Postgres cannot be reached.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Compares the migrations that have run, oldest first, with this program's, one by one.
fn check_sequence(applied: &[(i32, String, bool)]) -> Result<(), SchemaError> {
    for (number, (found, name, _)) in (1..).zip(applied) {
        if *found > number {
            return Err(SchemaError::Gap { number });
        }
        if let Some(known) = MIGRATIONS.iter().find(|known| known.number == number && known.name != name) {
            return Err(SchemaError::Changed { number, found: name.clone(), known: known.name });
        }
    }
    Ok(())
}

/// Creates or upgrades the tables in the default schema: see [`Schema::migrate`].
pub async fn migrate(db: &PgPool) -> Result<(), MigrateError> {
    Schema::default().migrate(db).await
}

/// Checks the tables in the default schema: see [`Schema::verify`].
pub async fn verify(db: &mut PgConnection) -> Result<(), SchemaError> {
    Schema::default().verify(db).await
}

/// The migrations of this version, oldest first, for programs that run them with another tool. Such a tool must also
/// write their numbers to the table `migrations`.
pub fn migrations() -> impl Iterator<Item = Migration> {
    MIGRATIONS.iter().copied()
}

impl Schema {
    /// Creates the schema and its tables, or upgrades them. Does nothing where they are up to date. Safe to call from any
    /// number of processes at once.
    ///
    /// Only the connect options of the pool are used: the migrations have a connection of their own, which is closed
    /// afterwards.
    ///
    /// # Errors
    /// See [`MigrateError`]; nothing was changed then.
    pub async fn migrate(&self, db: &PgPool) -> Result<(), MigrateError> {
        let mut connection = PgConnection::connect_with(&db.connect_options()).await?;
        let migrated = self.migrate_on(&mut connection).await;
        // An error at the end of a connection that is no longer needed changes nothing.
        let _ = connection.close().await;
        migrated
    }

    async fn migrate_on(&self, connection: &mut PgConnection) -> Result<(), MigrateError> {
        let mut tx = connection.begin().await?;
        sqlx::query(LOCK).bind(self.name()).execute(&mut *tx).await?;
        // Not CREATE IF NOT EXISTS alone: it asks for the right to create even where there is nothing to create.
        if !sqlx::query_scalar::<_, bool>(FIND_SCHEMA).bind(self.name()).fetch_one(&mut *tx).await? {
            // The name is checked: see `Schema::new`.
            let create = format!("CREATE SCHEMA \"{}\"", self.name());
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *tx).await?;
        }
        let applied = match self.verify(&mut tx).await {
            Ok(()) => return Ok(tx.rollback().await?),
            Err(SchemaError::Missing(_)) => {
                let (_, has_jobs) = self.tables(&mut tx).await?;
                if has_jobs {
                    return Err(MigrateError::Foreign(self.clone()));
                }
                sqlx::query(self.sql(BOOKKEEPING)).execute(&mut *tx).await?;
                0
            }
            Err(SchemaError::Older { found, .. }) => found,
            Err(SchemaError::Sql(error)) => return Err(error.into()),
            Err(error @ (SchemaError::Breaking { .. } | SchemaError::Gap { .. } | SchemaError::Changed { .. })) => {
                return Err(MigrateError::Schema(error));
            }
        };
        for migration in MIGRATIONS.iter().filter(|migration| migration.number > applied) {
            let Migration { number, name, breaking, sql } = *migration;
            let failed = |source| MigrateError::Migration { number, source };
            sqlx::raw_sql(self.sql(sql)).execute(&mut *tx).await.map_err(failed)?;
            let record = sqlx::query(self.sql(RECORD)).bind(number).bind(name).bind(breaking);
            record.execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Checks that this program can use the tables: all its migrations have run, and no newer one is breaking. Newer ones
    /// that are not breaking are fine, so a rolling deploy does not take old replicas out. Needs the right to read only.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub async fn verify(&self, db: &mut PgConnection) -> Result<(), SchemaError> {
        let known = MIGRATIONS.iter().map(|migration| migration.number).max().unwrap_or(0);
        if !self.tables(db).await?.0 {
            return Err(SchemaError::Missing(self.clone()));
        }
        let applied: Vec<(i32, String, bool)> = sqlx::query_as(self.sql(APPLIED)).fetch_all(db).await?;
        check_sequence(&applied)?;
        let found = applied.last().map_or(0, |(number, ..)| *number);
        let breaking = applied.iter().rev().find(|(.., breaking)| *breaking).map_or(0, |(number, ..)| *number);
        if breaking > known {
            return Err(SchemaError::Breaking { found: breaking, known });
        }
        if found < known {
            return Err(SchemaError::Older { found, known });
        }
        Ok(())
    }

    /// The statements of a migration for this schema.
    pub fn migration_sql(&self, migration: &Migration) -> String {
        self.sql(migration.sql).as_str().to_owned()
    }

    /// Whether there is the bookkeeping table, and whether there are jobs.
    async fn tables(&self, db: &mut PgConnection) -> Result<(bool, bool), sqlx::Error> {
        sqlx::query_as(FIND_TABLES).bind(self.name()).fetch_one(db).await
    }
}
