//! Orphans in the bucket: objects that are no image's renditions.
//!
//! Whether objects are orphans is asked in batches, without locks. Only the images of orphans are then locked while their
//! orphans are removed, so that no attempt can store the same object and commit it in the meantime.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use darkroom_model::{OwnedImage, Status};
use darkroom_queue::JobError;
use darkroom_shared::{bucket::ObjectKey, catalog};
use sqlx::PgConnection;

use crate::App;

/// Orphans that are removed in one transaction, and in one request.
const REMOVED_AT_ONCE: usize = 500;
/// Longest time of the request that removes them, within a transaction: the timeout of a request to the bucket, and some.
const BUCKET_WAIT: Duration = Duration::from_secs(70);

/// What [`remove`] did.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// Number of objects.
    pub(crate) objects: usize,
    /// Images whose orphans were not removed, because an attempt may be about to commit them.
    pub(crate) kept: HashSet<OwnedImage>,
}

/// Those of these objects that are no renditions, and whose images no attempt is rendering.
pub(crate) async fn orphans(app: &App, keys: Vec<ObjectKey>) -> Result<Vec<ObjectKey>, JobError> {
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

/// Removes these objects, except those that are committed by now or may be soon.
pub(crate) async fn remove(app: &App, orphans: &[ObjectKey]) -> Result<Removed, JobError> {
    let mut removed = Removed::default();
    for batch in orphans.chunks(REMOVED_AT_ONCE) {
        let images = images(batch);
        let remove = async |tx: &mut PgConnection| -> Result<_, JobError> {
            let statuses = catalog::lock_statuses(tx, &images).await?;
            let orphans = unclaimed(tx, batch.to_vec(), &images, &statuses).await?;
            // The transaction, and with it the locks, ends after the objects are deleted.
            app.bucket.delete(&orphans).await?;
            let kept = images.iter().filter(|image| may_be_rendered(&statuses, image)).copied();
            Ok((orphans.len(), kept.collect::<Vec<_>>()))
        };
        let (objects, kept) = app.db.transaction_with_wait(BUCKET_WAIT, remove).await?;
        removed.objects += objects;
        removed.kept.extend(kept);
    }
    Ok(removed)
}

/// Whether an attempt may be about to commit objects of this image. One whose status only a newer version knows may be rendered.
pub(super) fn may_be_rendered(statuses: &HashMap<OwnedImage, Option<Status>>, image: &OwnedImage) -> bool {
    matches!(statuses.get(image), Some(None | Some(Status::Queued | Status::Processing)))
}

/// The images of these objects, each once.
fn images(keys: &[ObjectKey]) -> Vec<OwnedImage> {
    let mut images: Vec<OwnedImage> = keys.iter().map(ObjectKey::image).collect();
    images.sort_unstable();
    images.dedup();
    images
}

async fn unclaimed(
    db: &mut PgConnection,
    mut keys: Vec<ObjectKey>,
    images: &[OwnedImage],
    statuses: &HashMap<OwnedImage, Option<Status>>,
) -> Result<Vec<ObjectKey>, JobError> {
    let renditions = catalog::renditions_of_all(db, images).await?;
    let claimed: HashSet<ObjectKey> =
        renditions.iter().map(|(image, rendition)| ObjectKey::rendition(image.owner, image.id, rendition)).collect();
    keys.retain(|key| !may_be_rendered(statuses, &key.image()) && !claimed.contains(key));
    Ok(keys)
}
