//! Every job: its payload, its queue and its number of attempts. The only declaration of each.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use darkroom_model::ImageId;
use darkroom_queue::{
    Enqueue, Job, JobId,
    control::{Control, Revived},
};

use crate::catalog::{self, CatalogError};

/// Renders an image, from its staged upload into the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessImage {
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
    /// Which image.
    pub image: ImageId,
}

impl Job for DeleteImage {
    const QUEUE: &'static str = "delete-image";
    // More than for rendering: nobody waits for a deletion, so it may outlast a long outage of the bucket.
    const MAX_ATTEMPTS: u32 = 20;
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

/// How the job of a new image is enqueued. The key finds the job of an image; the lane keeps the thousand images of one
/// uploader from delaying the single image of another. Uploads that name no lane share one.
pub fn process_image_options(image: ImageId, lane: Option<String>) -> Enqueue {
    Enqueue::new().key(image.to_string()).lane(lane.unwrap_or_default())
}

/// Why a killed job was not put back into its queue.
#[derive(Debug, thiserror::Error)]
pub enum ReviveError {
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
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

/// [`retry`] of the job that failed this image. `false`: there is none, or it is in quarantine.
pub async fn retry_image(tx: &mut PgConnection, image: ImageId) -> Result<bool, ReviveError> {
    match Control::new(tx).find(ProcessImage::QUEUE, &image.to_string()).await? {
        Some(job) => retry(tx, job).await,
        None => Ok(false),
    }
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
        catalog::requeue_failed(tx, job.image).await?;
    }
    Ok(true)
}
