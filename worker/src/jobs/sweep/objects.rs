//! Orphans in the bucket: objects that are no image's renditions.
//!
//! A sweep lists a bounded part of the bucket and asks for its images in batches, without locks. Only the images of
//! orphans are then locked while their orphans are removed, so that no attempt can store the same object and commit it
//! in the meantime.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use darkroom_model::{OwnedImage, Status};
use darkroom_queue::JobError;
use darkroom_shared::{bucket::ObjectKey, catalog};
use futures::TryStreamExt as _;
use sqlx::PgConnection;

use super::Found;
use crate::App;

/// Objects that one sweep lists: 100 requests.
const PART: u64 = 100_000;
/// Objects whose images are asked for in one statement.
const BATCH: usize = 1000;
/// Orphans that are removed in one transaction, and in one request.
const REMOVED_AT_ONCE: usize = 500;
/// Longest time of the request that removes them, within a transaction: the timeout of a request to the bucket, and some.
const BUCKET_WAIT: Duration = Duration::from_secs(70);

/// Finds the orphans written before this time, in the part of the bucket after this key. Returns them, and the key
/// after which the next part begins; `None`: this was the last part.
pub(super) async fn find(
    app: &App,
    before: DateTime<Utc>,
    after: Option<&ObjectKey>,
) -> Result<(Found<ObjectKey>, Option<ObjectKey>), JobError> {
    let mut listed = app.bucket.list_all(after);
    let mut found = Found { orphans: Vec::new(), looked_at: 0 };
    let mut old = Vec::new();
    let mut next = None;
    while let Some(object) = listed.try_next().await? {
        found.looked_at += 1;
        let is_last = found.looked_at >= PART;
        if is_last {
            next = Some(object.key.clone());
        }
        if object.modified < before {
            old.push(object.key);
        }
        if old.len() >= BATCH {
            found.orphans.extend(orphans(app, std::mem::take(&mut old)).await?);
        }
        if is_last {
            break;
        }
    }
    found.orphans.extend(orphans(app, old).await?);
    Ok((found, next))
}

/// Removes these objects, except those that were committed meanwhile. Returns how many were removed.
pub(super) async fn remove(app: &App, orphans: &[ObjectKey]) -> Result<usize, JobError> {
    let mut removed = 0;
    for batch in orphans.chunks(REMOVED_AT_ONCE) {
        let images = images(batch);
        let remove = async |tx: &mut PgConnection| -> Result<_, JobError> {
            let statuses = catalog::lock_statuses(tx, &images).await?;
            let orphans = unclaimed(tx, batch.to_vec(), &images, &statuses).await?;
            // The transaction, and with it the locks, ends after the objects are deleted.
            app.bucket.delete(&orphans).await?;
            Ok(orphans.len())
        };
        removed += app.db.transaction_with_wait(BUCKET_WAIT, remove).await?;
    }
    Ok(removed)
}

async fn orphans(app: &App, keys: Vec<ObjectKey>) -> Result<Vec<ObjectKey>, JobError> {
    if keys.is_empty() {
        return Ok(keys);
    }
    let images = images(&keys);
    let find = async |db: &mut PgConnection| {
        let statuses = catalog::statuses(db, &images).await?;
        unclaimed(db, keys, &images, &statuses).await
    };
    app.db.run(find).await
}

/// The images of these objects, each once: keys are listed in order, so the objects of one image follow each other.
fn images(keys: &[ObjectKey]) -> Vec<OwnedImage> {
    let mut images: Vec<OwnedImage> = keys.iter().map(ObjectKey::image).collect();
    images.dedup();
    images
}

/// Those objects that are no renditions, and whose images no attempt is rendering.
async fn unclaimed(
    db: &mut PgConnection,
    mut keys: Vec<ObjectKey>,
    images: &[OwnedImage],
    statuses: &HashMap<OwnedImage, Status>,
) -> Result<Vec<ObjectKey>, JobError> {
    let renditions = catalog::renditions_of_all(db, images).await?;
    let claimed: HashSet<ObjectKey> =
        renditions.iter().map(|(image, rendition)| ObjectKey::rendition(image.owner, image.id, rendition)).collect();
    keys.retain(|key| {
        // An attempt may be about to commit its objects.
        let is_unfinished = matches!(statuses.get(&key.image()), Some(Status::Queued | Status::Processing));
        !is_unfinished && !claimed.contains(key)
    });
    Ok(keys)
}
