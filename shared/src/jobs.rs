//! Every job: its payload, its queue and its number of attempts. The only declaration of each.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use darkroom_model::{ImageId, OwnedImage, Owner};
use darkroom_queue::{
    Enqueue, Enqueued, Job, JobId, QueueError,
    control::{Control, Revived},
};

use crate::catalog::{self, CatalogError};

/// Renders an image, from its staged upload into the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessImage {
    /// Whose image it is.
    pub owner: Owner,
    /// Which image.
    pub image: ImageId,
}

impl Job for ProcessImage {
    const QUEUE: &'static str = "process-image";
    const MAX_ATTEMPTS: u32 = 10;
}

/// Removes an image: its objects, its staged upload and its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteImage {
    /// Whose image it is.
    pub owner: Owner,
    /// Which image.
    pub image: ImageId,
    /// The image is gone; this only removes objects that arrived in the bucket after the deletion.
    #[serde(default)]
    pub recheck: bool,
}

impl Job for DeleteImage {
    const QUEUE: &'static str = "delete-image";
    // A deletion that was answered is never given up, however long the bucket is away.
    const MAX_ATTEMPTS: u32 = i32::MAX.unsigned_abs();
}

/// Enqueues the deletion of images that are `deleting` but have no job that deletes them: an operator cancelled it, it
/// crashed its workers, or a version that gave up ran it. Periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeDeletions {}

impl Job for ResumeDeletions {
    const QUEUE: &'static str = "resume-deletions";
    const MAX_ATTEMPTS: u32 = 5;
}

/// Removes files and objects that no image refers to. Periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {}

impl Job for Sweep {
    const QUEUE: &'static str = "sweep";
    const MAX_ATTEMPTS: u32 = 5;
}

/// Retries images that failed because the bucket or the database was away. Periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryImages {}

impl Job for RetryImages {
    const QUEUE: &'static str = "retry-images";
    const MAX_ATTEMPTS: u32 = 5;
}

/// Folds the titles of stored images again where a new version folds them differently. Periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefoldTitles {}

impl Job for RefoldTitles {
    const QUEUE: &'static str = "refold-titles";
    const MAX_ATTEMPTS: u32 = 5;
}

/// Removes the answers to requests with an `Idempotency-Key` that are not given again. Periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneIdempotencyKeys {}

impl Job for PruneIdempotencyKeys {
    const QUEUE: &'static str = "prune-idempotency-keys";
    const MAX_ATTEMPTS: u32 = 5;
}

/// How the job of a new image is enqueued. The key finds the job of an image; the lane keeps the thousand images of one
/// uploader from delaying the single image of another. Uploads that name no lane share that of their owner; a lane that
/// they name is one within their owner.
pub fn process_image_options(owner: Owner, image: ImageId, lane: Option<&str>) -> Enqueue {
    let lane = lane.map_or_else(|| owner.to_string(), |lane| format!("{owner}/{lane}"));
    Enqueue::new().key(image.to_string()).lane(lane)
}

/// How the deletion of an image is enqueued: at most one unfinished job deletes it.
pub fn delete_image_options(image: ImageId) -> Enqueue {
    Enqueue::new().once(image.to_string())
}

/// Enqueues the deletion of those images that no unfinished job deletes. Returns how many.
///
/// # Errors
/// [`QueueError::KeyReleased`]: such a job ended during the call. Nothing was added: try again.
pub async fn resume_deletions(db: &mut PgConnection, images: &[OwnedImage]) -> Result<usize, QueueError> {
    let deletion = |&OwnedImage { owner, id }: &OwnedImage| {
        (DeleteImage { owner, image: id, recheck: false }, delete_image_options(id))
    };
    let jobs: Vec<_> = images.iter().map(deletion).collect();
    let enqueued = darkroom_queue::enqueue_all(db, jobs.iter().map(|(job, how)| (job, how))).await?;
    Ok(enqueued.iter().filter(|enqueued| matches!(enqueued, Enqueued::New(_))).count())
}

/// Requeues images that failed as `unavailable`, each with its job: the killed one, or a new one if that was pruned. An
/// image with a job that is quarantined or not killed stays as it is. Call it in a transaction. Returns how many.
///
/// # Errors
/// [`QueueError::KeyReleased`]: a job was pruned during the call. Roll back and try again.
pub async fn revive_unavailable(tx: &mut PgConnection, images: &[OwnedImage]) -> Result<u64, ReviveError> {
    let keys: Vec<String> = images.iter().map(|image| image.id.to_string()).collect();
    let retried: HashSet<String> = Control::new(tx).retry_keys(ProcessImage::QUEUE, &keys).await?.into_iter().collect();
    let (mut revived, rest): (Vec<OwnedImage>, Vec<OwnedImage>) =
        images.iter().copied().partition(|image| retried.contains(&image.id.to_string()));
    // Their lane was pruned with their job, so they take that of their owner.
    let new = |&OwnedImage { owner, id }: &OwnedImage| {
        (ProcessImage { owner, image: id }, process_image_options(owner, id, None))
    };
    let jobs: Vec<_> = rest.iter().map(new).collect();
    let enqueued = darkroom_queue::enqueue_all(tx, jobs.iter().map(|(job, how)| (job, how))).await?;
    let is_new = |enqueued: &Enqueued| matches!(enqueued, Enqueued::New(_));
    revived.extend(rest.iter().zip(&enqueued).filter(|(_, enqueued)| is_new(enqueued)).map(|(image, _)| *image));
    Ok(catalog::requeue_unavailable(tx, &revived).await?)
}

/// Why a killed job was not put back into its queue.
#[derive(Debug, thiserror::Error)]
pub enum ReviveError {
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A new job could not be enqueued.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The job's image could not be put back.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The payload cannot be decoded: the job would only fail again.
    #[error("cannot decode the job: {0}")]
    Payload(#[from] serde_json::Error),
}

/// [`Control::retry`], and the job's image is `queued` again. Call it in a transaction. `false`: there is no such job.
pub async fn retry(tx: &mut PgConnection, id: JobId) -> Result<bool, ReviveError> {
    let revived = Control::new(tx).retry(id).await?;
    revive(tx, revived).await
}

/// [`Control::release`], and the job's image is `queued` again. Call it in a transaction. `false`: there is no such job.
pub async fn release(tx: &mut PgConnection, id: JobId) -> Result<bool, ReviveError> {
    let revived = Control::new(tx).release(id).await?;
    revive(tx, revived).await
}

/// Undoes what the failure hook of [`ProcessImage`] did; no other job has one. An image that is being deleted stays so,
/// and its job finds nothing to do.
async fn revive(tx: &mut PgConnection, revived: Option<Revived>) -> Result<bool, ReviveError> {
    let Some(revived) = revived else { return Ok(false) };
    if revived.queue == ProcessImage::QUEUE {
        let job: ProcessImage = serde_json::from_slice(&revived.payload)?;
        catalog::requeue_failed(tx, job.owner, job.image).await?;
    }
    Ok(true)
}
