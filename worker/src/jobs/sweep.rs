//! The sweep: removes orphans, the files and objects that belong to no image. Crashes leave orphans by design, because
//! the opposite order of writes would lose data.
//!
//! | orphan | left by |
//! |---|---|
//! | a draft in staging | an api that was killed during an upload |
//! | a staged file without an image | an api that was killed between staging and commit |
//! | a staged file of a finished image | a worker that was killed between commit and removal |
//! | an object without a rendition | an attempt that was killed, or lost its lease, before its commit |
//!
//! Only orphans older than `ORPHAN_SECONDS` are removed. The row of an image is locked while its objects are removed,
//! so that no attempt can store the same object and commit it in the meantime.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use darkroom_model::{ImageId, Status};
use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{bucket::ObjectKey, catalog, jobs::Sweep, staging::StagedFile};
use futures::TryStreamExt as _;
use sqlx::PgConnection;
use tracing::info;

use crate::{App, Handlers};

impl Handler<Sweep> for Handlers {
    async fn run(&self, _: Sweep, _: Lease) -> Result<(), JobError> {
        sweep(&self.0).await.map(drop)
    }
}

/// Staged files per statement.
const BATCH: usize = 500;

/// How many orphans a sweep removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files in staging.
    pub staged: usize,
    /// Objects in the bucket.
    pub objects: usize,
}

/// Sweeps staging and the bucket once.
pub async fn sweep(app: &App) -> Result<Swept, JobError> {
    // The database's clock, because this machine's may be wrong and would then make fresh files look old.
    let before = app.db.run(async |db| catalog::now(db).await).await? - app.orphan_age;
    let swept = Swept { staged: sweep_staging(app, before).await?, objects: sweep_bucket(app, before).await? };
    info!(staged = swept.staged, objects = swept.objects, "swept");
    Ok(swept)
}

async fn sweep_staging(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let staged = app.staging.list().await?;
    let old = staged.try_filter(|staged| futures::future::ready(staged.modified < before));
    let batches = old.try_chunks(BATCH).map_err(|error| JobError::from(error.1));
    batches.try_fold(0, |removed, batch| async move { Ok(removed + remove_orphans(app, &batch).await?) }).await
}

/// Removes the files of no image and of finished images.
async fn remove_orphans(app: &App, batch: &[StagedFile]) -> Result<usize, JobError> {
    let ids: Vec<ImageId> = batch.iter().filter_map(|staged| staged.image).collect();
    let unfinished = app.db.run(async |db| catalog::unfinished(db, &ids).await).await?;
    let unfinished: HashSet<ImageId> = unfinished.into_iter().collect();
    let mut removed = 0;
    for staged in batch.iter().filter(|staged| staged.image.is_none_or(|image| !unfinished.contains(&image))) {
        app.staging.remove_listed(staged).await?;
        removed += 1;
    }
    Ok(removed)
}

async fn sweep_bucket(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let mut old = app.bucket.list_all().try_filter(|object| futures::future::ready(object.modified < before));
    let mut removed = 0;
    // Keys are listed in order, so the objects of one image follow each other.
    let mut of_one_image: Vec<ObjectKey> = Vec::new();
    while let Some(object) = old.try_next().await? {
        if of_one_image.first().is_some_and(|key| key.image() != object.key.image()) {
            removed += remove_orphan_objects(app, std::mem::take(&mut of_one_image)).await?;
        }
        of_one_image.push(object.key);
    }
    Ok(removed + remove_orphan_objects(app, of_one_image).await?)
}

/// Removes those objects of one image that are not its renditions.
async fn remove_orphan_objects(app: &App, keys: Vec<ObjectKey>) -> Result<usize, JobError> {
    let Some(image) = keys.first().map(ObjectKey::image) else { return Ok(0) };
    let remove = async |tx: &mut PgConnection| -> Result<_, JobError> {
        let renditions: HashSet<ObjectKey> = match catalog::lock_status(tx, image).await? {
            // An attempt may be about to commit these objects.
            Some(Status::Queued | Status::Processing) => return Ok(0),
            None => HashSet::new(),
            Some(Status::Ready | Status::Failed | Status::Deleting) => {
                let renditions = catalog::renditions(tx, image).await?;
                renditions.iter().map(|rendition| ObjectKey::rendition(image, rendition)).collect()
            }
        };
        let orphans: Vec<ObjectKey> = keys.into_iter().filter(|key| !renditions.contains(key)).collect();
        // The transaction, and with it the lock, ends after the objects are deleted.
        app.bucket.delete(&orphans).await?;
        Ok(orphans.len())
    };
    app.db.transaction(remove).await
}
