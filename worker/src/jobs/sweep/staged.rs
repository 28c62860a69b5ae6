//! Orphans in staging: drafts, files of no image, and files of finished images. Staging holds what waits, so all of it is
//! listed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use darkroom_model::{OwnedImage, Status};
use darkroom_queue::JobError;
use darkroom_shared::{catalog, staging::StagedFile};
use futures::TryStreamExt as _;

use super::Found;
use crate::App;

/// Staged files per statement.
const BATCH: usize = 5_000;
/// Maximum orphans that one sweep collects, about 10 MB; the next sweep continues.
const MAX_ORPHANS: usize = 100_000;

/// Files that may be removed.
#[derive(Default)]
pub(super) struct Staged {
    /// Files that nothing needs, as far as this database knows.
    pub(super) unclaimed: Found<StagedFile>,
    /// Files of images that are ready: a row says that nothing needs them.
    pub(super) of_finished: Vec<StagedFile>,
}

/// Whether a staged file may be removed.
#[derive(PartialEq, Eq)]
enum Need {
    Needed,
    /// Its image is ready.
    Finished,
    /// No image needs it. That of a failed image is kept for a while, so that it can be tried again.
    Unclaimed,
}

impl Need {
    fn of(file: &StagedFile, statuses: &HashMap<OwnedImage, Option<Status>>) -> Self {
        match file.image.and_then(|image| statuses.get(&image)) {
            Some(Some(Status::Ready)) => Self::Finished,
            Some(Some(Status::Failed | Status::Deleting)) | None => Self::Unclaimed,
            // A status that only a newer version knows may need it.
            Some(None | Some(Status::Queued | Status::Processing)) => Self::Needed,
        }
    }
}

/// Finds the files of images that are ready, and other orphans written before this time.
pub(super) async fn find(app: &App, before: DateTime<Utc>) -> Result<Staged, JobError> {
    let mut listed = app.staging.list().await?;
    let mut staged = Staged::default();
    let mut batch = Vec::new();
    while let Some(file) = listed.try_next().await? {
        staged.unclaimed.looked_at += 1;
        batch.push(file);
        if batch.len() >= BATCH {
            sort(app, before, std::mem::take(&mut batch), &mut staged).await?;
        }
        if staged.unclaimed.orphans.len() >= MAX_ORPHANS {
            return Ok(staged);
        }
    }
    sort(app, before, batch, &mut staged).await?;
    Ok(staged)
}

async fn sort(app: &App, before: DateTime<Utc>, files: Vec<StagedFile>, staged: &mut Staged) -> Result<(), JobError> {
    let statuses = statuses(app, &files).await?;
    for file in files {
        match Need::of(&file, &statuses) {
            Need::Finished => staged.of_finished.push(file),
            Need::Unclaimed if file.modified < before => staged.unclaimed.orphans.push(file),
            Need::Unclaimed | Need::Needed => {}
        }
    }
    Ok(())
}

/// Removes these files, except those that are needed by now. Returns how many were removed.
pub(super) async fn remove(app: &App, staged: &Staged) -> Result<usize, JobError> {
    let mut removed = 0;
    for batch in staged.of_finished.chunks(BATCH).chain(staged.unclaimed.orphans.chunks(BATCH)) {
        let statuses = statuses(app, batch).await?;
        for file in batch.iter().filter(|file| Need::of(file, &statuses) != Need::Needed) {
            app.staging.remove_listed(file).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The statuses of the images of these files.
async fn statuses(app: &App, files: &[StagedFile]) -> Result<HashMap<OwnedImage, Option<Status>>, JobError> {
    let images: Vec<OwnedImage> = files.iter().filter_map(|file| file.image).collect();
    if images.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(app.db.run(async |db| catalog::statuses(db, &images).await).await?)
}
