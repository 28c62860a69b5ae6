//! The job that removes an image: its objects, its staged file, and last its rows.

use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{catalog, jobs::DeleteImage};

use crate::{App, Handlers, after_installation_error};

impl Handler<DeleteImage> for Handlers {
    async fn run(&self, job: DeleteImage, lease: Lease) -> Result<(), JobError> {
        delete_image(&self.0, &job, &lease).await
    }
}

/// Removes everything of one image. It may run again: an object or file that is gone counts as removed. The rows go
/// last, in the transaction that completes the job, so that an interrupted job still finds the image.
pub async fn delete_image(app: &App, job: &DeleteImage, lease: &Lease) -> Result<(), JobError> {
    // In another bucket, nothing would be found, and the row would be removed before the objects are.
    if let Err(error) = app.installation.check_stores().await {
        return Err(after_installation_error(error).await);
    }
    let keys = app.bucket.list_image(job.image).await?;
    app.bucket.delete(&keys).await?;
    app.staging.remove(job.image).await?;
    let mut tx = app.pool.begin().await?;
    lease.complete(&mut tx).await?;
    catalog::delete(&mut tx, job.image).await?;
    tx.commit().await?;
    Ok(())
}
