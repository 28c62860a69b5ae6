//! Removes what an attempt stored and cannot commit.

use std::{collections::HashSet, time::Duration};

use darkroom_model::Status;
use darkroom_queue::{CompleteError, JobError, Lease};
use darkroom_shared::{
    bucket::ObjectKey,
    catalog::{self, PutIntent},
};
use sqlx::PgConnection;
use tracing::{info, warn};

use super::store::Puts;
use crate::App;

/// Maximum time, because a transaction waits for the bucket meanwhile.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Removes the objects of an attempt's image that are not its renditions, and then the attempt's intent. If that fails, or if
/// the bucket has not answered a request and may still carry it out, the intent stays: the deletion of the image or the sweep
/// removes them.
///
/// `lease` is that of the attempt's job if the job has not ended. Without it, another attempt may be about to commit the
/// same objects, so nothing is removed from an image that is queued or processing.
pub(super) async fn remove(app: &App, intent: PutIntent, puts: &Puts, lease: Option<&Lease>) {
    let image = intent.image();
    match tokio::time::timeout(TIMEOUT, try_remove(app, intent, puts, lease)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(objects)) => info!(%image, objects, "removed the objects of an attempt that could not commit them"),
        Ok(Err(error)) => warn!(%image, %error, "cannot remove the objects of an attempt that could not commit them"),
        Err(_) => warn!(%image, "no time to remove the objects of an attempt that could not commit them"),
    }
}

async fn try_remove(app: &App, intent: PutIntent, puts: &Puts, lease: Option<&Lease>) -> Result<usize, JobError> {
    let remove = async |tx: &mut PgConnection| -> Result<_, JobError> {
        let Some(removed) = remove_in(tx, app, intent, lease).await? else { return Ok(0) };
        if puts.are_settled() {
            catalog::remove_put_intent(tx, intent).await?;
        }
        Ok(removed)
    };
    app.db.transaction_with_wait(TIMEOUT, remove).await
}

/// The number of removed objects; `None`: another attempt may commit them.
async fn remove_in(
    tx: &mut PgConnection,
    app: &App,
    intent: PutIntent,
    lease: Option<&Lease>,
) -> Result<Option<usize>, JobError> {
    let image = intent.image();
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
        Some(None | Some(Status::Queued | Status::Processing)) if !is_held => return Ok(None),
        _ => {}
    }
    let renditions = catalog::renditions(tx, image.owner, image.id).await?;
    let renditions: HashSet<ObjectKey> =
        renditions.iter().map(|rendition| ObjectKey::rendition(image.owner, image.id, rendition)).collect();
    let mut orphans = app.bucket.list_image(image.owner, image.id).await?;
    orphans.retain(|object| !renditions.contains(&object.key));
    let orphans: Vec<ObjectKey> = orphans.into_iter().map(|object| object.key).collect();
    app.bucket.delete(&orphans).await?;
    Ok(Some(orphans.len()))
}
