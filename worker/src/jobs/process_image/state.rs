//! The transactions that change an image's status. The lease guards each of them: an attempt without it changes
//! nothing.

use darkroom_model::OwnedImage;
use darkroom_queue::{CompleteError, JobError, Lease};
use darkroom_shared::{
    catalog::{self, PutIntent, UnrenderedImage},
    lifecycle::{Failed, Processing, Ready},
};
use sqlx::PgConnection;
use tracing::{info, warn};

use crate::App;

/// What the catalog knows of the image. `None`: it is finished, being deleted or gone.
pub(super) async fn unrendered(app: &App, image: OwnedImage) -> Result<Option<UnrenderedImage>, JobError> {
    Ok(app.db.run(async |db| catalog::unrendered(db, image.owner, image.id).await).await?)
}

/// The picture only waits for memory until [`start`]: the death of this worker is no crash of its job, and another worker with
/// room may take it over.
pub(super) async fn announce_wait(app: &App, image: OwnedImage, lease: &Lease) {
    let announced = app.db.run(async |db| lease.announce_idle(db).await).await;
    // Without the announcement it waits as if it had begun.
    if let Err(CompleteError::Sql(error)) = announced {
        warn!(%image, %error, "cannot announce that an image waits for memory");
    }
}

/// Makes the image `processing` if the lease is still held. An attempt that has slept past its lease must not count,
/// nor make an image `processing` that another attempt has requeued.
///
/// The commit does not wait for the disk. If Postgres crashes within the next 0.6 s, the image is `queued` again, with one attempt less and without the intent, while its job is running under its lease: this
/// attempt may still make it ready, or another claims the job, as after any crash. The upload and its job were durable before,
/// so at worst a worker that dies in the same moment leaves an object that only `darkroom-worker compare` finds.
pub(super) async fn start(app: &App, image: OwnedImage, lease: &Lease) -> Result<Option<Processing>, JobError> {
    let start = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.begin(tx).await?;
        Ok(catalog::start(tx, image.owner, image.id).await?)
    };
    app.db.transaction_without_flush(start).await
}

/// Completes the job and makes the image ready, in one transaction. `false`: the image was deleted while it was
/// rendered, and the stored objects belong to nothing.
pub(super) async fn save_ready(app: &App, ready: &Ready, lease: &Lease) -> Result<bool, JobError> {
    let save = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.complete(tx).await?;
        Ok(catalog::save_ready(tx, ready).await?)
    };
    let saved = app.db.transaction(save).await?;
    info!(image = %ready.image(), saved, "ready");
    Ok(saved)
}

/// Completes the job and makes the image failed, in one transaction. `ended`: the intent of an attempt that has stored
/// nothing.
pub(super) async fn save_failed(
    app: &App,
    failed: &Failed,
    ended: Option<PutIntent>,
    lease: &Lease,
) -> Result<(), JobError> {
    let save = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.complete(tx).await?;
        remove_intent(tx, ended).await?;
        Ok(catalog::save_failed(tx, failed).await?)
    };
    app.db.transaction(save).await?;
    info!(image = %failed.image(), code = %failed.failure().code, "failed");
    Ok(())
}

/// Makes the image `queued` until the next attempt. `false`: it is not `processing` any more, for example because it
/// was deleted. An error is only logged, because [`start`] also takes a `processing` image; for the same reason the commit
/// does not wait for the disk. `ended`: the intent of an attempt that has stored nothing.
pub(super) async fn requeue(app: &App, image: OwnedImage, ended: Option<PutIntent>, lease: &Lease) -> bool {
    try_requeue(app, image, ended, lease).await.unwrap_or_else(|error| {
        warn!(%image, %error, "cannot requeue the image");
        false
    })
}

async fn try_requeue(app: &App, image: OwnedImage, ended: Option<PutIntent>, lease: &Lease) -> Result<bool, JobError> {
    let requeue = async |tx: &mut PgConnection| -> Result<_, JobError> {
        lease.lock_if_held(tx).await?;
        remove_intent(tx, ended).await?;
        Ok(catalog::requeue(tx, image.owner, image.id).await?)
    };
    app.db.transaction_without_flush(requeue).await
}

/// Records the end of an attempt that may write nothing else. `ended`: the intent of one that has stored nothing.
pub(super) async fn end(app: &App, ended: Option<PutIntent>) {
    let end = async |db: &mut PgConnection| remove_intent(db, ended).await;
    if ended.is_some()
        && let Err(error) = app.db.run(end).await
    {
        warn!(%error, "cannot remove the intent of an attempt, the sweep will");
    }
}

/// Removes the intent of an attempt, if there is one to remove.
async fn remove_intent(db: &mut PgConnection, ended: Option<PutIntent>) -> Result<(), JobError> {
    match ended {
        Some(intent) => Ok(catalog::remove_put_intent(db, intent).await?),
        None => Ok(()),
    }
}
