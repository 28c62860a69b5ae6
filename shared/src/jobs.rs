//! Every job there is: what it carries, its queue and how often it may fail. The only declaration of each.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use darkroom_model::ImageId;
use darkroom_queue::{
    Enqueue, Job, JobId,
    control::{self, Revived},
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
    // More than for rendering: nobody watches a deletion, so it outlasts a long outage of the bucket.
    const MAX_ATTEMPTS: u32 = 20;
}

/// Removes what no image claims. Periodic: the place of Celery Beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {}

impl Job for Sweep {
    const QUEUE: &'static str = "sweep";
    const MAX_ATTEMPTS: u32 = 5;
}

/// Tries images again that an outage of the bucket or the database has failed. Periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryImages {}

impl Job for RetryImages {
    const QUEUE: &'static str = "retry-images";
    const MAX_ATTEMPTS: u32 = 5;
}

/// How the job of a new image is queued. Its key leads from the image to the job; its lane keeps one uploader's thousand
/// images from delaying another's one. Who names no lane shares one with all who name none.
pub fn process_image_options(image: ImageId, lane: Option<String>) -> Enqueue {
    Enqueue::new().key(image.to_string()).lane(lane.unwrap_or_default())
}

/// Why a killed job was not brought back.
#[derive(Debug, thiserror::Error)]
pub enum ReviveError {
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// The job's image could not be put back.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// What it carries cannot be read: it would only fail again.
    #[error("cannot decode the job: {0}")]
    Payload(#[from] serde_json::Error),
}

/// [`control::retry`], and the job's image is `queued` again. Call it in a transaction. `false`: there is no such job.
pub async fn retry(tx: &mut PgConnection, id: JobId) -> Result<bool, ReviveError> {
    let revived = control::retry(tx, id).await?;
    revive(tx, revived).await
}

/// [`retry`] of the job that failed this image. `false`: there is none, or it is in quarantine.
pub async fn retry_image(tx: &mut PgConnection, image: ImageId) -> Result<bool, ReviveError> {
    match control::find(tx, ProcessImage::QUEUE, &image.to_string()).await? {
        Some(job) => retry(tx, job).await,
        None => Ok(false),
    }
}

/// [`control::release`], and the job's image is `queued` again. Call it in a transaction. `false`: there is no such job.
pub async fn release(tx: &mut PgConnection, id: JobId) -> Result<bool, ReviveError> {
    let revived = control::release(tx, id).await?;
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
