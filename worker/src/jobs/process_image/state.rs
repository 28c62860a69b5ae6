//! The transactions that change an image's status. The lease guards each of them: an attempt without it changes
//! nothing.

use darkroom_model::ImageId;
use darkroom_queue::{JobError, Lease};
use darkroom_shared::{
    catalog,
    lifecycle::{Failed, Processing, Ready},
};
use sqlx::PgConnection;
use tracing::{info, warn};

use crate::App;

/// Makes the image `processing` if the lease is still held. An attempt that has slept past its lease must not count,
/// nor make an image `processing` that another attempt has requeued.
pub(super) async fn start(app: &App, image: ImageId, lease: &Lease) -> Result<Option<Processing>, JobError> {
    let start = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.lock_if_held(tx).await?;
        Ok(catalog::start(tx, image).await?)
    };
    app.db.transaction(start).await
}

/// Completes the job and makes the image ready, in one transaction.
pub(super) async fn save_ready(app: &App, ready: &Ready, lease: &Lease) -> Result<(), JobError> {
    let save = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.complete(tx).await?;
        Ok(catalog::save_ready(tx, ready).await?)
    };
    // `false`: the image was deleted while it was rendered. The sweep removes the stored objects.
    let saved = app.db.transaction(save).await?;
    info!(image = %ready.id(), saved, "ready");
    Ok(())
}

/// Completes the job and makes the image failed, in one transaction.
pub(super) async fn save_failed(app: &App, failed: &Failed, lease: &Lease) -> Result<(), JobError> {
    let save = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.complete(tx).await?;
        Ok(catalog::save_failed(tx, failed).await?)
    };
    app.db.transaction(save).await?;
    info!(image = %failed.id(), code = %failed.failure().code, "failed");
    Ok(())
}

/// Makes the image `queued` until the next attempt. An error is only logged, because [`start`] also takes a
/// `processing` image.
pub(super) async fn requeue(app: &App, image: ImageId, lease: &Lease) {
    if let Err(error) = try_requeue(app, image, lease).await {
        warn!(%image, %error, "cannot requeue the image");
    }
}

async fn try_requeue(app: &App, image: ImageId, lease: &Lease) -> Result<(), JobError> {
    let requeue = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.lock_if_held(tx).await?;
        Ok(catalog::requeue(tx, image).await?)
    };
    app.db.transaction(requeue).await.map(drop)
}
