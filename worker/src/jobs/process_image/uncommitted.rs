//! Removes what an attempt stored and cannot commit.

use std::{collections::HashSet, time::Duration};

use darkroom_model::{OwnedImage, Status};
use darkroom_queue::{CompleteError, JobError, Lease};
use darkroom_shared::{bucket::ObjectKey, catalog};
use sqlx::PgConnection;
use tracing::{info, warn};

use crate::App;

/// Maximum time, because a transaction waits for the bucket meanwhile.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Removes the objects of this image that are not its renditions. If that fails, the deletion of the image or the sweep
/// removes them.
///
/// `lease` is that of the attempt's job if the job has not ended. Without it, another attempt may be about to commit the
/// same objects, so nothing is removed from an image that is queued or processing.
pub(super) async fn remove(app: &App, image: OwnedImage, lease: Option<&Lease>) {
    match tokio::time::timeout(TIMEOUT, try_remove(app, image, lease)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(objects)) => info!(%image, objects, "removed the objects of an attempt that could not commit them"),
        Ok(Err(error)) => warn!(%image, %error, "cannot remove the objects of an attempt that could not commit them"),
        Err(_) => warn!(%image, "no time to remove the objects of an attempt that could not commit them"),
    }
}

async fn try_remove(app: &App, image: OwnedImage, lease: Option<&Lease>) -> Result<usize, JobError> {
    app.db.transaction_with_wait(TIMEOUT, async |tx| remove_in(tx, app, image, lease).await).await
}

async fn remove_in(
    tx: &mut PgConnection,
    app: &App,
    image: OwnedImage,
    lease: Option<&Lease>,
) -> Result<usize, JobError> {
    // The job before the image, as everywhere. Both stay locked while the objects are removed.
    let is_held = match lease {
        None => false,
        Some(lease) => match lease.lock_if_held(tx).await {
            Ok(()) => true,
            Err(CompleteError::LeaseLost) => false,
            Err(error) => return Err(error.into()),
        },
    };
    match catalog::lock_statuses(tx, &[image]).await?.remove(&image) {
        Some(Status::Queued | Status::Processing) if !is_held => return Ok(0),
        _ => {}
    }
    let renditions = catalog::renditions(tx, image.owner, image.id).await?;
    let renditions: HashSet<ObjectKey> =
        renditions.iter().map(|rendition| ObjectKey::rendition(image.owner, image.id, rendition)).collect();
    let mut orphans = app.bucket.list_image(image.owner, image.id).await?;
    orphans.retain(|key| !renditions.contains(key));
    app.bucket.delete(&orphans).await?;
    Ok(orphans.len())
}
