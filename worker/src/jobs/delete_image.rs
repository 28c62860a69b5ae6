//! Removes an image for good: its objects, its staged file, and last its rows.

use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{catalog, jobs::DeleteImage};

use crate::{App, Handlers};

impl Handler<DeleteImage> for Handlers {
    async fn run(&self, job: DeleteImage, lease: Lease) -> Result<(), JobError> {
        delete_image(&self.0, &job, &lease).await
    }
}

/// Removes everything of one image. May be repeated: what is gone counts as removed. The rows go last, in the
/// transaction that completes the job, so that nothing is forgotten half-way.
pub async fn delete_image(app: &App, job: &DeleteImage, lease: &Lease) -> Result<(), JobError> {
    let keys = app.bucket.list_image(job.image).await.map_err(JobError::retry)?;
    app.bucket.delete(&keys).await.map_err(JobError::retry)?;
    app.staging.remove(job.image).await.map_err(JobError::retry)?;
    let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
    lease.complete(&mut tx).await?;
    catalog::forget(&mut tx, job.image).await.map_err(JobError::retry)?;
    tx.commit().await.map_err(JobError::retry)
}
