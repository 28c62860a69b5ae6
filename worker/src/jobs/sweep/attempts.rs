//! What attempts that died have left in the bucket. Such an attempt has left its put intent, so only the images of old intents
//! are looked at, whether they exist or not.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use darkroom_model::OwnedImage;
use darkroom_queue::JobError;
use darkroom_shared::{
    bucket::{ListedObject, ObjectKey},
    catalog::{self, PutIntent},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::PgConnection;

use super::{Found, objects};
use crate::App;

/// Intents per statement.
const BATCH: i64 = 500;
/// Images whose objects are listed at once.
const LISTED_AT_ONCE: usize = 8;
/// Images that one sweep lists, one request each; the next one continues.
const MAX_IMAGES: usize = 20_000;

/// What old attempts have left.
#[derive(Default)]
pub(super) struct Left {
    pub(super) objects: Found<ObjectKey>,
    /// The images that were looked at and have no other objects than their renditions and these orphans.
    images: Vec<OwnedImage>,
}

/// Finds the objects that attempts from before this time have left, and that were written before it. An image that is
/// queued or processing is left to a later sweep.
pub(super) async fn find(app: &App, before: DateTime<Utc>) -> Result<Left, JobError> {
    let mut left = Left::default();
    let mut after = None;
    while left.images.len() < MAX_IMAGES {
        let intents = app.db.run(async |db| catalog::list_put_intents(db, before, after, BATCH).await).await?;
        after = intents.last().copied();
        if after.is_none() {
            break;
        }
        let images: Vec<OwnedImage> = finished_images(app, &intents).await?;
        let listed: Vec<(OwnedImage, Vec<ListedObject>)> = stream::iter(images)
            .map(|image| async move { Ok::<_, JobError>((image, app.bucket.list_image(image.owner, image.id).await?)) })
            .buffer_unordered(LISTED_AT_ONCE)
            .try_collect()
            .await?;
        collect(app, before, listed, &mut left).await?;
    }
    Ok(left)
}

/// The images of these intents that no attempt may be rendering, each once.
async fn finished_images(app: &App, intents: &[PutIntent]) -> Result<Vec<OwnedImage>, JobError> {
    let mut images: Vec<OwnedImage> = intents.iter().map(PutIntent::image).collect();
    images.dedup();
    let statuses = app.db.run(async |db| catalog::statuses(db, &images).await).await?;
    images.retain(|image| !objects::may_be_rendered(&statuses, image));
    Ok(images)
}

async fn collect(
    app: &App,
    before: DateTime<Utc>,
    listed: Vec<(OwnedImage, Vec<ListedObject>)>,
    left: &mut Left,
) -> Result<(), JobError> {
    left.images.extend(listed.iter().map(|(image, _)| *image));
    let objects: HashMap<ObjectKey, DateTime<Utc>> =
        listed.into_iter().flat_map(|(_, objects)| objects).map(|object| (object.key, object.modified)).collect();
    left.objects.looked_at += objects.len() as u64;
    let orphans = objects::orphans(app, objects.keys().cloned().collect()).await?;
    let (old, young): (Vec<_>, Vec<_>) = orphans.into_iter().partition(|key| objects[key] < before);
    let young: HashSet<OwnedImage> = young.iter().map(ObjectKey::image).collect();
    left.images.retain(|image| !young.contains(image));
    left.objects.orphans.extend(old);
    Ok(())
}

/// Removes what old attempts have left, and then their intents. Returns how many objects were removed.
pub(super) async fn remove(app: &App, left: Left, before: DateTime<Utc>) -> Result<usize, JobError> {
    let removed = objects::remove(app, &left.objects.orphans).await?;
    let done: Vec<OwnedImage> = left.images.into_iter().filter(|image| !removed.kept.contains(image)).collect();
    for batch in done.chunks(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
        let remove = async |db: &mut PgConnection| catalog::remove_put_intents(db, batch, before).await;
        app.db.run(remove).await?;
    }
    Ok(removed.objects)
}
