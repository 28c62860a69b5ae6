//! The job that removes an image: its objects, its staged file, and last its rows.
//!
//! It is never given up: it has no last attempt, and [`resume_deletions`](super::resume_deletions) enqueues it again if
//! it ended otherwise. It is complete: a running attempt at the image is cancelled and waited for, so that nothing is
//! stored after the objects were listed. An attempt that was cut off may have left a request under way to the bucket;
//! a second job lists the image's objects again `RECHECK_DELAY` later.

use std::time::Duration;

use darkroom_model::OwnedImage;
use darkroom_queue::{
    Enqueue, Handler, Job as _, JobError, Lease,
    control::{Control, JobStatus},
};
use darkroom_shared::{
    bucket::ObjectKey,
    catalog,
    jobs::{DeleteImage, ProcessImage, delete_image_options},
};
use sqlx::PgConnection;
use tracing::{info, warn};

use crate::{App, Handlers, after_installation_error};

/// Time until the job looks again whether a cancelled attempt has ended.
const ATTEMPT_POLL: Duration = Duration::from_secs(1);
/// Time after which no request of an attempt that was cut off is under way: the timeout of a request to the bucket.
const RECHECK_DELAY: Duration = Duration::from_mins(1);

impl Handler<DeleteImage> for Handlers {
    async fn run(&self, job: DeleteImage, lease: Lease) -> Result<(), JobError> {
        let image = OwnedImage { owner: job.owner, id: job.image };
        if job.recheck { recheck(&self.0, image).await } else { delete_image(&self.0, image, &lease).await }
    }
}

/// Removes everything of one image. It may run again: an object or file that is gone counts as removed. The rows go
/// last, in the transaction that completes the job, so that an interrupted job still finds the image.
async fn delete_image(app: &App, image: OwnedImage, lease: &Lease) -> Result<(), JobError> {
    // In another bucket, nothing would be found, and the row would be removed before the objects are.
    if let Err(error) = app.installation.check_stores().await {
        return Err(after_installation_error(error).await);
    }
    let is_rendered = cancel_attempt(app, image).await?;
    remove_objects(app, image).await?;
    app.staging.remove(image.owner, image.id).await?;
    if is_rendered {
        return Err(JobError::Snooze(ATTEMPT_POLL));
    }
    let delete = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.complete(tx).await?;
        if catalog::has_unfinished_attempt(tx, image.owner, image.id).await? {
            let how: Enqueue = delete_image_options(image.id).delay(RECHECK_DELAY);
            darkroom_queue::enqueue(tx, &DeleteImage { owner: image.owner, image: image.id, recheck: true }, &how)
                .await?;
        }
        Ok(catalog::delete(tx, image.owner, image.id).await?)
    };
    app.db.transaction(delete).await?;
    info!(%image, "deleted");
    Ok(())
}

/// Removes objects that arrived after the image was deleted.
async fn recheck(app: &App, image: OwnedImage) -> Result<(), JobError> {
    let late = remove_objects(app, image).await?;
    if late > 0 {
        warn!(%image, objects = late, "removed objects that were stored after the deletion");
    }
    Ok(())
}

/// Cancels the attempt that renders this image. `true`: there is one, and it has not ended yet. No other can begin,
/// because the image is `deleting`.
async fn cancel_attempt(app: &App, image: OwnedImage) -> Result<bool, JobError> {
    let cancel = async |db: &mut PgConnection| -> Result<_, JobError> {
        let mut control = Control::new(db);
        let Some(id) = control.find(ProcessImage::QUEUE, &image.id.to_string()).await? else { return Ok(false) };
        let is_running = control.show(id).await?.is_some_and(|job| job.summary.status == JobStatus::Running);
        if is_running {
            control.cancel(id).await?;
        }
        Ok(is_running)
    };
    app.db.run(cancel).await
}

/// Removes the objects below the image's own prefix, of whatever attempt. Returns how many.
async fn remove_objects(app: &App, image: OwnedImage) -> Result<usize, JobError> {
    let objects = app.bucket.list_image(image.owner, image.id).await?;
    let keys: Vec<ObjectKey> = objects.into_iter().map(|object| object.key).collect();
    app.bucket.delete(&keys).await?;
    Ok(keys.len())
}
