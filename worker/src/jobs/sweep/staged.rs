//! Orphans in staging: drafts, files of no image, and files of finished images.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use darkroom_model::OwnedImage;
use darkroom_queue::JobError;
use darkroom_shared::{catalog, staging::StagedFile};
use futures::TryStreamExt as _;

use super::Found;
use crate::App;

/// Staged files per statement.
const BATCH: usize = 500;
/// Maximum orphans that one sweep collects, about 10 MB; the next sweep continues.
const MAX_ORPHANS: usize = 100_000;

/// Finds the orphans written before this time.
pub(super) async fn find(app: &App, before: DateTime<Utc>) -> Result<Found<StagedFile>, JobError> {
    let mut staged = app.staging.list().await?;
    let mut found = Found { orphans: Vec::new(), looked_at: 0 };
    let mut old = Vec::new();
    while let Some(file) = staged.try_next().await? {
        found.looked_at += 1;
        if file.modified < before {
            old.push(file);
        }
        if old.len() >= BATCH {
            found.orphans.extend(orphans(app, std::mem::take(&mut old)).await?);
        }
        if found.orphans.len() >= MAX_ORPHANS {
            return Ok(found);
        }
    }
    found.orphans.extend(orphans(app, old).await?);
    Ok(found)
}

/// Removes these files, except those that are needed by now.
pub(super) async fn remove(app: &App, files: &[StagedFile]) -> Result<usize, JobError> {
    let mut removed = 0;
    for batch in files.chunks(BATCH) {
        let needed = needed(app, batch).await?;
        for file in batch.iter().filter(|file| !file.image.is_some_and(|image| needed.contains(&image))) {
            app.staging.remove_listed(file).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn orphans(app: &App, mut files: Vec<StagedFile>) -> Result<Vec<StagedFile>, JobError> {
    let needed = needed(app, &files).await?;
    files.retain(|file| !file.image.is_some_and(|image| needed.contains(&image)));
    Ok(files)
}

/// Images that still need their files.
async fn needed(app: &App, files: &[StagedFile]) -> Result<HashSet<OwnedImage>, JobError> {
    let ids: Vec<OwnedImage> = files.iter().filter_map(|file| file.image).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(app.db.run(async |db| catalog::unfinished(db, &ids).await).await?.into_iter().collect())
}
