//! The sweep: removes what no image claims. Crashes leave such things by design, so that nothing is ever lost instead.
//!
//! | orphan | left by |
//! |---|---|
//! | a draft in staging | an api that was killed during an upload |
//! | a staged file without an image | an api that was killed between staging and commit |
//! | a staged file of a finished image | a worker that was killed between commit and removal |
//! | an object without a rendition | an attempt that was killed, or lost its lease, before its commit |
//!
//! Only what is older than `ORPHAN_SECONDS` goes. An image's objects are removed with its row locked, so that no
//! attempt can put the same object and commit it meanwhile.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use darkroom_model::{ImageId, Status};
use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{bucket::ObjectKey, catalog, jobs::Sweep, staging::Staged};
use futures::TryStreamExt as _;
use tracing::info;

use crate::{App, Handlers};

impl Handler<Sweep> for Handlers {
    async fn run(&self, _: Sweep, _: Lease) -> Result<(), JobError> {
        sweep(&self.0).await.map(drop)
    }
}

/// Staged files asked about in one statement.
const BATCH: usize = 500;

/// What a sweep removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files in staging.
    pub staged: usize,
    /// Objects in the bucket.
    pub objects: usize,
}

/// Sweeps staging and the bucket once.
pub async fn sweep(app: &App) -> Result<Swept, JobError> {
    // Not by this machine's clock, which may be wrong: what looks old is removed.
    let mut db = app.pool.acquire().await.map_err(JobError::retry)?;
    let before = catalog::now(&mut db).await.map_err(JobError::retry)? - app.orphan_age;
    drop(db);
    let swept = Swept { staged: sweep_staging(app, before).await?, objects: sweep_bucket(app, before).await? };
    info!(staged = swept.staged, objects = swept.objects, "swept");
    Ok(swept)
}

async fn sweep_staging(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let staged = app.staging.list().await.map_err(JobError::retry)?;
    let old = staged.try_filter(|staged| futures::future::ready(staged.modified < before));
    let batches = old.try_chunks(BATCH).map_err(|error| JobError::retry(error.1));
    batches.try_fold(0, |removed, batch| async move { Ok(removed + remove_unwanted(app, &batch).await?) }).await
}

async fn remove_unwanted(app: &App, batch: &[Staged]) -> Result<usize, JobError> {
    let ids: Vec<ImageId> = batch.iter().filter_map(|staged| staged.image).collect();
    let mut db = app.pool.acquire().await.map_err(JobError::retry)?;
    let wanted: HashSet<ImageId> =
        catalog::waiting(&mut db, &ids).await.map_err(JobError::retry)?.into_iter().collect();
    drop(db);
    let mut removed = 0;
    for staged in batch.iter().filter(|staged| staged.image.is_none_or(|image| !wanted.contains(&image))) {
        app.staging.remove_listed(staged).await.map_err(JobError::retry)?;
        removed += 1;
    }
    Ok(removed)
}

async fn sweep_bucket(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let old = app.bucket.list_all().try_filter(|object| futures::future::ready(object.modified < before));
    let keys = old.try_filter_map(|object| async move { Ok(object.key.image().map(|image| (image, object.key))) });
    let mut keys = std::pin::pin!(keys);
    let mut removed = 0;
    // Keys come in order, so those of one image lie together.
    let mut together: Vec<(ImageId, ObjectKey)> = Vec::new();
    while let Some(next) = keys.try_next().await.map_err(JobError::retry)? {
        if together.first().is_some_and(|(image, _)| *image != next.0) {
            removed += remove_unclaimed(app, std::mem::take(&mut together)).await?;
        }
        together.push(next);
    }
    Ok(removed + remove_unclaimed(app, together).await?)
}

/// Removes those objects of one image that none of its renditions is.
async fn remove_unclaimed(app: &App, together: Vec<(ImageId, ObjectKey)>) -> Result<usize, JobError> {
    let Some(&(image, _)) = together.first() else { return Ok(0) };
    let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
    let claimed: HashSet<ObjectKey> = match catalog::lock(&mut tx, image).await.map_err(JobError::retry)? {
        // An attempt may be about to commit them.
        Some(Status::Queued | Status::Processing) => return Ok(0),
        None => HashSet::new(),
        Some(Status::Ready | Status::Failed | Status::Deleting) => {
            let renditions = catalog::renditions(&mut tx, image).await.map_err(JobError::retry)?;
            renditions.iter().map(|rendition| ObjectKey::rendition(image, rendition)).collect()
        }
    };
    let unclaimed: Vec<ObjectKey> =
        together.into_iter().map(|(_, key)| key).filter(|key| !claimed.contains(key)).collect();
    app.bucket.delete(&unclaimed).await.map_err(JobError::retry)?;
    Ok(unclaimed.len())
}
