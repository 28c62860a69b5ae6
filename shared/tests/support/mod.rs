//! A database for each test, and the SQL that the tests need besides the catalog's.

use std::ops::Deref;

use darkroom_model::{ImageId, Owner};
use darkroom_shared::{
    catalog::{Labels, SearchIndex},
    database,
    settings::DatabaseSettings,
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// A new database with the schema of this version.
pub(crate) struct Database(pub(crate) database::Database);

impl Deref for Database {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        self.0.pool()
    }
}

impl Database {
    /// Creates and migrates it.
    pub(crate) async fn migrated() -> Self {
        let url = darkroom_dev::testing::database().await;
        let database = database::connect(&DatabaseSettings::direct(&url, 4)).await.unwrap();
        database::migrate(&database).await.unwrap();
        Self(database)
    }

    /// The constraint that this update of a row of an image violates.
    pub(crate) async fn violated_constraint(&self, image: ImageId, table: &str, update: &str) -> Option<String> {
        let sql = AssertSqlSafe(format!("UPDATE {table} SET {update} WHERE id = $1"));
        let error = sqlx::query(sql).bind(image.as_uuid()).execute(self.0.pool()).await.unwrap_err();
        Some(error.as_database_error()?.constraint()?.to_owned())
    }

    /// Adds queued images of an owner with these ids and titles, and updates the planner's statistics.
    pub(crate) async fn add_images(&self, owner: Owner, images: impl IntoIterator<Item = (ImageId, String)>) {
        let (mut ids, mut titles, mut folded, mut grams) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, title) in images {
            let index = SearchIndex::new(owner, id, &title, &Labels { format: "png", ..Labels::default() });
            ids.push(id.as_uuid());
            titles.push(title);
            folded.push(index.folded);
            // An array of arrays of different lengths is none in Postgres.
            grams.push(format!("{:?}", index.terms).replace('[', "{").replace(']', "}"));
        }
        sqlx::query(
            "WITH state AS (INSERT INTO image_states (owner, id) SELECT $1, unnest($2))
             INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format,
                                 source_width, source_height, source_frames, source_bytes, source_sha256, source_scans,
                                 source_bits_per_pixel, source_decoded_pixels)
             SELECT $1, id, title, folded, grams::bigint[], 2, '{}', 'png', 1, 1, 1, 1,
                    decode(repeat('00', 32), 'hex'), 1, 24, 1
             FROM unnest($2, $3::text[], $4::text[], $5::text[]) AS image (id, title, folded, grams)",
        )
        .bind(owner.id())
        .bind(ids)
        .bind(titles)
        .bind(folded)
        .bind(grams)
        .execute(self.0.pool())
        .await
        .unwrap();
        sqlx::query("ANALYZE images, image_states").execute(self.0.pool()).await.unwrap();
    }

    /// Adds this number of images with decimal numbers as titles.
    pub(crate) async fn add_numbered_images(&self, count: u32) {
        self.add_images(Owner::DEFAULT, (1..=count).map(|n| (ImageId::now(), n.to_string()))).await;
    }

    /// Makes all images that are newer than this one `deleting`.
    pub(crate) async fn delete_images_after(&self, image: ImageId) {
        let sql = "UPDATE image_states SET status = 'deleting' WHERE id > $1";
        sqlx::query(sql).bind(image.as_uuid()).execute(self.0.pool()).await.unwrap();
    }

    /// Folds all titles as an older version may have folded them: letter by letter.
    pub(crate) async fn fold_as_an_older_version(&self) {
        let sql = "UPDATE images SET title_folded = lower(title), terms = '{}', folding = 0";
        sqlx::query(sql).execute(self.0.pool()).await.unwrap();
    }

    /// Marks all titles as folded by a newer version.
    pub(crate) async fn fold_as_a_newer_version(&self) {
        sqlx::query("UPDATE images SET folding = 1000").execute(self.0.pool()).await.unwrap();
    }

    /// The plan of the query for titles to fold again, line by line.
    pub(crate) async fn refold_plan(&self) -> Vec<String> {
        sqlx::query_scalar("EXPLAIN SELECT owner, id, title FROM images WHERE folding < 2 ORDER BY owner, id LIMIT 10")
            .fetch_all(self.0.pool())
            .await
            .unwrap()
    }

    /// Every row of the catalog, as text.
    pub(crate) async fn rows(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT images::text FROM images UNION ALL SELECT image_states::text FROM image_states
             UNION ALL SELECT renditions::text FROM renditions
             UNION ALL SELECT put_intents::text FROM put_intents ORDER BY 1",
        )
        .fetch_all(self.0.pool())
        .await
        .unwrap()
    }

    /// Writes values into the row of a ready image that this version does not know.
    pub(crate) async fn write_unknown_values(&self, image: ImageId) {
        let sql = AssertSqlSafe(format!(
            "ALTER TABLE image_states DROP CONSTRAINT image_states_status_known,
                 DROP CONSTRAINT image_states_failed_says_why, DROP CONSTRAINT image_states_finished_has_time;
             UPDATE image_states SET status = 'resting', failure_code = 'too_dull', failure_detail = 'x'
             WHERE id = '{image}';
             UPDATE images SET source_format = 'jxl9' WHERE id = '{image}';
             UPDATE renditions SET format = 'jxl9' WHERE image_id = '{image}'"
        ));
        sqlx::raw_sql(sql).execute(self.0.pool()).await.unwrap();
    }

    /// Removes the record of a migration.
    pub(crate) async fn forget_migration(&self, description: &str) {
        let sql = "DELETE FROM _sqlx_migrations WHERE description = $1";
        assert_eq!(sqlx::query(sql).bind(description).execute(self.0.pool()).await.unwrap().rows_affected(), 1);
    }

    /// Changes the recorded checksum of a migration.
    pub(crate) async fn change_migration(&self, description: &str) {
        let sql = "UPDATE _sqlx_migrations SET checksum = 'other' WHERE description = $1";
        assert_eq!(sqlx::query(sql).bind(description).execute(self.0.pool()).await.unwrap().rows_affected(), 1);
    }

    /// Excludes binaries without the migration of this number.
    pub(crate) async fn set_schema_floor(&self, migration: i64) {
        let sql = "UPDATE schema_floor SET migration = $1";
        assert_eq!(sqlx::query(sql).bind(migration).execute(self.0.pool()).await.unwrap().rows_affected(), 1);
    }

    /// Records a migration of a newer version.
    pub(crate) async fn pretend_newer_schema(&self) {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of a newer version', true, '', 0)",
        )
        .execute(self.0.pool())
        .await
        .unwrap();
    }
}

/// Ends the job of an image as if it had used up its attempts.
pub(crate) async fn exhaust_job(db: &mut PgConnection, image: ImageId) {
    let sql =
        "UPDATE apalis.jobs SET status = 'Killed', reason = 'exhausted', done_at = now(), attempts = 10, fence = 10
         WHERE idempotency_key = $1";
    sqlx::query(sql).bind(image.to_string()).execute(db).await.unwrap();
}

/// Whether the job of an image is pending with all of its attempts left.
pub(crate) async fn has_fresh_job(db: &mut PgConnection, image: ImageId) -> bool {
    let sql = "SELECT status = 'Pending' AND attempts = 0 FROM apalis.jobs WHERE idempotency_key = $1";
    sqlx::query_scalar(sql).bind(image.to_string()).fetch_one(db).await.unwrap()
}

/// Removes the ended job of an image, as retention does.
pub(crate) async fn prune_job(db: &mut PgConnection, image: ImageId) {
    let sql = "DELETE FROM apalis.jobs WHERE idempotency_key = $1 AND status = 'Killed'";
    assert_eq!(sqlx::query(sql).bind(image.to_string()).execute(db).await.unwrap().rows_affected(), 1);
}

/// Ends every job that deletes an image as an operator's cancel does.
pub(crate) async fn kill_deletions(db: &mut PgConnection) {
    let sql = "UPDATE apalis.jobs SET status = 'Killed', reason = 'cancelled', done_at = now()
         WHERE job_type = 'delete-image'";
    sqlx::query(sql).execute(db).await.unwrap();
}

/// Moves the end of an image to the past.
pub(crate) async fn finished_hours_ago(db: &mut PgConnection, image: ImageId, hours: i32) {
    let sql = "UPDATE image_states SET finished_at = now() - make_interval(hours => $2) WHERE id = $1";
    sqlx::query(sql).bind(image.as_uuid()).bind(hours).execute(db).await.unwrap();
}

/// Moves the time at which an image was found too large to the past.
pub(crate) async fn too_large_hours_ago(db: &mut PgConnection, image: ImageId, hours: i32) {
    let sql = "UPDATE image_states SET too_large_since = now() - make_interval(hours => $2) WHERE id = $1";
    sqlx::query(sql).bind(image.as_uuid()).bind(hours).execute(db).await.unwrap();
}
