//! The row of the installation in the database.

use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::Store;
use crate::database::Database;

/// The identity of the installation, by its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A random id, made by a migration.
    pub id: Uuid,
    /// How often it was adopted, plus one.
    pub epoch: i32,
    /// Grows every 30 s or so while a worker runs.
    pub generation: i64,
    /// A random value, renewed with the generation.
    pub stamp: Uuid,
    /// The random id in the bucket's marker; `None`: it has none yet.
    pub bucket: Option<Uuid>,
    /// The random id in staging's marker; `None`: it has none yet.
    pub staging: Option<Uuid>,
}

impl Record {
    /// Reads the row.
    pub(super) async fn read(db: &Database) -> Result<Self, sqlx::Error> {
        let sql = "SELECT id, epoch, generation, stamp, bucket_marker, staging_marker FROM installation";
        Self::from_row(&db.run(async |db| sqlx::query(sql).fetch_one(db).await).await?)
    }

    /// From the columns `id, epoch, generation, stamp, bucket_marker, staging_marker`.
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            epoch: row.try_get(1)?,
            generation: row.try_get(2)?,
            stamp: row.try_get(3)?,
            bucket: row.try_get(4)?,
            staging: row.try_get(5)?,
        })
    }

    /// The random id in a store's marker; `None`: it has none yet.
    #[must_use]
    pub fn marker(&self, store: Store) -> Option<Uuid> {
        match store {
            Store::Bucket => self.bucket,
            Store::Staging => self.staging,
        }
    }
}

/// Saves the id of a store's marker, unless there is one.
pub(super) async fn set_marker(db: &Database, store: Store, marker: Uuid) -> Result<(), sqlx::Error> {
    let sql = match store {
        Store::Bucket => "UPDATE installation SET bucket_marker = $1 WHERE bucket_marker IS NULL",
        Store::Staging => "UPDATE installation SET staging_marker = $1 WHERE staging_marker IS NULL",
    };
    commit(db, sqlx::query(sql).bind(marker)).await.map(drop)
}

/// Whether the catalog names files in this store.
pub(super) async fn is_in_use(db: &Database, store: Store) -> Result<bool, sqlx::Error> {
    let sql = match store {
        Store::Bucket => "SELECT EXISTS (SELECT FROM renditions)",
        Store::Staging => "SELECT EXISTS (SELECT FROM image_states WHERE status IN ('queued', 'processing'))",
    };
    db.run(async |db| sqlx::query_scalar(sql).fetch_one(db).await).await
}

/// Advances the generation if the latest advance is at least this many seconds ago. `None`: it is not.
pub(super) async fn advance(db: &Database, seconds: f64) -> Result<Option<Record>, sqlx::Error> {
    let sql = "UPDATE installation SET generation = generation + 1, stamp = gen_random_uuid(), advanced_at = now()
               WHERE advanced_at <= now() - make_interval(secs => $1)
               RETURNING id, epoch, generation, stamp, bucket_marker, staging_marker";
    commit(db, sqlx::query(sql).bind(seconds)).await?.as_ref().map(Record::from_row).transpose()
}

/// Begins an epoch, above these of the markers, with these markers.
pub(super) async fn adopt(
    db: &Database,
    above: (i32, i64),
    bucket: Uuid,
    staging: Uuid,
) -> Result<Record, sqlx::Error> {
    let sql = "UPDATE installation SET epoch = greatest(epoch, $1) + 1, generation = greatest(generation, $2) + 1,
                      stamp = gen_random_uuid(), advanced_at = now(), bucket_marker = $3, staging_marker = $4
               RETURNING id, epoch, generation, stamp, bucket_marker, staging_marker";
    let update = sqlx::query(sql).bind(above.0).bind(above.1).bind(bucket).bind(staging);
    let row = commit(db, update).await?.ok_or(sqlx::Error::RowNotFound)?;
    Record::from_row(&row)
}

/// Runs one statement in a transaction that is durable when this returns: a marker written after it must never be ahead
/// of the database, not even after a power cut.
async fn commit(
    db: &Database,
    statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
) -> Result<Option<PgRow>, sqlx::Error> {
    let run = async |tx: &mut PgConnection| {
        sqlx::query("SET LOCAL synchronous_commit TO on").execute(&mut *tx).await?;
        statement.fetch_optional(tx).await
    };
    db.transaction(run).await
}
