//! The identity of the installation: a database, a bucket and two kinds of staging.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::{collections::HashMap, fs, path::PathBuf};

use crate::support::Database;
use darkroom_dev::testing;
use darkroom_model::ImageId;
use darkroom_shared::{
    bucket::Bucket,
    installation::{Installation, InstallationError, Mismatch, Store},
    settings::Settings,
    staging::Staging,
};

/// A bucket and a directory for staging.
struct Stores {
    bucket: testing::Bucket,
    staging: PathBuf,
}

impl Stores {
    async fn new() -> Self {
        let bucket = testing::bucket().await;
        let staging = bucket.dir.path().join("staging");
        Self { bucket, staging }
    }

    /// A new process with this database; `staging_url`: instead of the directory.
    async fn open(&self, db: &Database, staging_url: Option<&str>) -> Installation {
        let mut env: HashMap<&str, String> = self.bucket.env().into_iter().collect();
        let staging = staging_url.map_or_else(|| format!("file://{}", self.staging.display()), str::to_owned);
        env.extend([("DATABASE_URL", "postgres://unused/unused".to_owned()), ("STAGING_URL", staging)]);
        let settings = Settings::read(&|name| env.get(name).cloned()).unwrap();
        let staging = Staging::open(&settings.staging, &settings.bucket.access).await.unwrap();
        Installation::new(db.0.clone(), Bucket::new(&settings.bucket).unwrap(), staging)
    }

    fn object(&self, key: &str) -> PathBuf {
        self.bucket.dir.path().join(&self.bucket.name).join(key)
    }
}

fn mismatch(checked: Result<(), InstallationError>) -> Mismatch {
    checked.unwrap_err().mismatch().unwrap().clone()
}

#[tokio::test]
async fn empty_stores_are_marked_and_agree_with_every_later_process() {
    let (db, stores) = (Database::migrated().await, Stores::new().await);
    let urls = [None, Some(format!("s3://{}/staged", stores.bucket.name))];
    for url in &urls {
        // Together, as replicas that start.
        let (one, other) = (stores.open(&db, url.as_deref()).await, stores.open(&db, url.as_deref()).await);
        let (one, other) = tokio::join!(one.check_all(), other.check_all());
        one.and(other).unwrap();
        stores.open(&db, url.as_deref()).await.check_all().await.unwrap();
        sqlx::query("UPDATE installation SET staging_marker = NULL").execute(&*db).await.unwrap();
    }
}

#[tokio::test]
async fn a_second_staging_is_not_marked() {
    let (db, stores) = (Database::migrated().await, Stores::new().await);
    stores.open(&db, None).await.check_all().await.unwrap();
    let other = format!("file://{}", stores.bucket.dir.path().join("other").display());
    let installation = stores.open(&db, Some(&other)).await;
    assert_eq!(mismatch(installation.check_all().await), Mismatch::MarkerGone { store: Store::Staging });
    assert!(installation.check_uploads().await.is_err());
    assert!(installation.wrong_store().is_some());
}

#[tokio::test]
async fn stores_with_files_are_not_marked() {
    let (db, stores) = (Database::migrated().await, Stores::new().await);
    let installation = stores.open(&db, None).await;
    fs::write(stores.staging.join(format!("1-{}", ImageId::now())), "an upload").unwrap();
    assert_eq!(mismatch(installation.check(Store::Staging).await), Mismatch::Unmarked { store: Store::Staging });
    let object = stores.object(&format!("images/00/1/{}/full-0011223344556677.webp", ImageId::now()));
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(object, "a rendition").unwrap();
    assert_eq!(mismatch(installation.check(Store::Bucket).await), Mismatch::Unmarked { store: Store::Bucket });
}

#[tokio::test]
async fn an_empty_bucket_is_not_marked_where_the_database_names_renditions() {
    let (db, stores) = (Database::migrated().await, Stores::new().await);
    db.add_numbered_images(1).await;
    let sql = "INSERT INTO renditions (owner, image_id, name, format, width, height, bytes, sha256)
               SELECT owner, id, 'full.webp', 'webp', 1, 1, 1, source_sha256 FROM images";
    sqlx::query(sql).execute(&*db).await.unwrap();
    let installation = stores.open(&db, None).await;
    for store in [Store::Bucket, Store::Staging] {
        assert_eq!(mismatch(installation.check(store).await), Mismatch::UnmarkedInUse { store });
    }
}

#[tokio::test]
async fn an_empty_database_does_not_take_over_a_living_bucket_until_it_adopts() {
    let (old, new, stores) = (Database::migrated().await, Database::migrated().await, Stores::new().await);
    let living = stores.open(&old, None).await;
    living.check_all().await.unwrap();
    let other = stores.open(&new, None).await;
    assert!(matches!(mismatch(other.check_all().await), Mismatch::OtherInstallation { .. }));

    let plan = other.plan_adoption().await.unwrap();
    assert!(plan.bucket.marker.is_some() && plan.bucket.is_empty);
    other.adopt(&plan).await.unwrap();
    other.check_all().await.unwrap();
    assert!(matches!(mismatch(living.check_all().await), Mismatch::OtherInstallation { .. }));
}

#[tokio::test]
async fn a_restored_database_is_noticed_until_it_adopts() {
    let (db, stores) = (Database::migrated().await, Stores::new().await);
    let installation = stores.open(&db, None).await;
    installation.check_all().await.unwrap();
    let saved: (i64, uuid::Uuid) =
        sqlx::query_as("SELECT generation, stamp FROM installation").fetch_one(&*db).await.unwrap();
    sqlx::query("UPDATE installation SET advanced_at = now() - interval '1 hour'").execute(&*db).await.unwrap();
    let watching = tokio::spawn(installation.clone().watch(true));
    let advanced = async || {
        let sql = "SELECT generation > $1 FROM installation";
        sqlx::query_scalar(sql).bind(saved.0).fetch_one(&*db).await.unwrap()
    };
    while !advanced().await {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // The markers follow the row.
    while !fs::read_to_string(stores.staging.join(".darkroom-staging.json")).unwrap().contains("\"generation\":2") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    watching.abort();
    installation.check_all().await.unwrap();

    let restore = "UPDATE installation SET generation = $1, stamp = $2, advanced_at = now()";
    sqlx::query(restore).bind(saved.0).bind(saved.1).execute(&*db).await.unwrap();
    let found = mismatch(installation.check_all().await);
    assert!(matches!(found, Mismatch::DatabaseBehind { marker: 2, database: 1, .. }), "{found}");
    installation.check_stores().await.unwrap();
    installation.check_uploads().await.unwrap();
    assert!(installation.wrong_store().is_none(), "the stores are the right ones");

    installation.adopt(&installation.plan_adoption().await.unwrap()).await.unwrap();
    installation.check_all().await.unwrap();
    assert!(installation.mismatches().is_empty());
}

#[tokio::test]
async fn a_bucket_that_denies_its_objects_or_was_replaced_is_a_mismatch() {
    let (db, stores) = (Database::migrated().await, Stores::new().await);
    let installation = stores.open(&db, None).await;
    installation.check_all().await.unwrap();
    stores.bucket.server.inject(darkroom_dev::bucket::Fault::Answer(reqwest::StatusCode::NOT_FOUND));
    assert_eq!(mismatch(installation.check(Store::Bucket).await), Mismatch::MarkerGone { store: Store::Bucket });
    stores.bucket.server.inject(None);
    installation.check_all().await.unwrap();

    // Replaced by an empty one.
    let (bucket, away) = (stores.object(""), stores.bucket.dir.path().join("away"));
    fs::rename(&bucket, &away).unwrap();
    fs::create_dir(&bucket).unwrap();
    assert_eq!(mismatch(installation.check_all().await), Mismatch::MarkerGone { store: Store::Bucket });
    assert!(installation.check_stores().await.is_err());
}
