//! The job that removes an image: its objects, its staged file, and last its rows.

use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{catalog, jobs::DeleteImage};
use sqlx::PgConnection;

use crate::{App, Handlers};

impl Handler<DeleteImage> for Handlers {
    async fn run(&self, job: DeleteImage, lease: Lease) -> Result<(), JobError> {
        delete_image(&self.0, &job, &lease).await
    }
}

/// Removes everything of one image. It may run again: an object or file that is gone counts as removed. The rows go
/// last, in the transaction that completes the job, so that an interrupted job still finds the image.
pub async fn delete_image(app: &App, job: &DeleteImage, lease: &Lease) -> Result<(), JobError> {
    let keys = app.bucket.list_image(job.image).await?;
    app.bucket.delete(&keys).await?;
    app.staging.remove(job.image).await?;
    let delete = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.complete(tx).await?;
        Ok(catalog::delete(tx, job.image).await?)
    };
    app.db.transaction(delete).await
}
