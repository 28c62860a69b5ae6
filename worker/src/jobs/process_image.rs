//! The main job: staged bytes become renditions in the bucket, and the image becomes ready.
//!
//! Every step may be repeated after a crash: taking up is idempotent, objects are named by their content, and the
//! transaction that makes the image ready also completes the job, guarded by the lease. The staged file goes last.

use std::{io::Cursor, time::Duration};

use bytes::Bytes;
use darkroom_container::header::{self, Header};
use darkroom_model::{
    Failure, FailureCode, ImageAnalysis, ImageId, Rendition, RenditionFormat, Status, recipe::Recipe,
};
use darkroom_queue::{self, BoxError, ErrorKind, FailureReason, Handler, JobError, Lease};
use darkroom_shared::{
    catalog,
    jobs::ProcessImage,
    lifecycle::{Failed, Processing, Ready},
    staging::StagingError,
};
use futures::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{info, warn};

use darkroom_pipeline::{Files, Limits, RenderError, Rendered};

use crate::{
    App, Handlers,
    sandbox::{
        RenderFault,
        admission::{self, NoRoom},
        protocol::Order,
    },
};

/// Renditions of one image on their way to the bucket at once.
const PUTS: usize = 4;
/// How long a large picture waits before it asks again for a place.
const FULL: Duration = Duration::from_secs(1);

/// A longer file is not taken for an overlay, in bytes: larger than that of any logo, and little beside a large picture.
const MAX_OVERLAY: u64 = 32 << 20;

impl Handler<ProcessImage> for Handlers {
    async fn run(&self, job: ProcessImage, lease: Lease) -> Result<(), JobError> {
        process_image(&self.0, &job, &lease).await
    }

    async fn failed(
        &self,
        tx: &mut PgConnection,
        job: &ProcessImage,
        why: &darkroom_queue::Failure,
    ) -> Result<(), BoxError> {
        give_up(tx, job, why).await
    }
}

/// Renders one image. A picture that cannot be rendered becomes `failed` at once, and that is a job well done; a fault
/// of the bucket, the disk or the database is the job's failure, and the queue tries again.
pub async fn process_image(app: &App, job: &ProcessImage, lease: &Lease) -> Result<(), JobError> {
    let image = job.image;
    let Some(processing) = start(app, image, lease).await? else {
        info!(%image, "finished or gone already, nothing to do");
        return Ok(());
    };

    let recipe = processing.recipe().clone();
    let outcome = tokio::select! {
        outcome = render(app, image, recipe, lease) => outcome,
        _ = lease.stopped() => return Err(JobError::Cancelled),
    };
    let saved = match outcome {
        Ok((renditions, facts)) => save_ready(app, &processing.ready(renditions, facts), lease).await,
        Err(Fault::Picture(failure)) => save_failed(app, &processing.failed(failure), lease).await,
        Err(Fault::Job(error)) => Err(error),
    };
    match &saved {
        Ok(()) => remove_staged(app, image).await,
        // Without the lease, the image is another attempt's.
        Err(_) if lease.stop_reason().is_some() => {}
        Err(_) => requeue(app, image, lease).await,
    }
    saved
}

/// Takes the image up, if the lease is still held: an attempt that slept through its lease must not count itself, nor
/// show an image as being processed that is not.
async fn start(app: &App, image: ImageId, lease: &Lease) -> Result<Option<Processing>, JobError> {
    let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
    lease.lock_if_held(&mut tx).await?;
    let processing = catalog::start(&mut tx, image).await.map_err(JobError::retry)?;
    tx.commit().await.map_err(JobError::retry)?;
    Ok(processing)
}

/// Why there are no renditions.
enum Fault {
    /// The picture's: it fails, and no other attempt would help.
    Picture(Failure),
    /// Ours: the job is tried again.
    Job(JobError),
}

impl Fault {
    fn retry(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Job(JobError::retry(error))
    }
}

/// Renders in a child process and puts each rendition into the bucket as soon as it is encoded.
async fn render(
    app: &App,
    image: ImageId,
    recipe: Recipe,
    lease: &Lease,
) -> Result<(Vec<Rendition>, ImageAnalysis), Fault> {
    let source = match app.staging.read(image).await {
        Ok(source) => source,
        Err(StagingError::Missing) => {
            let detail = "The uploaded file is no longer there; please upload it again.".to_owned();
            return Err(Fault::Picture(Failure { code: FailureCode::SourceMissing, detail }));
        }
        Err(error) => return Err(Fault::retry(error)),
    };

    let header =
        header::read(&mut Cursor::new(&source), &app.limits.header).map_err(|error| match error.failure() {
            Some(failure) => Fault::Picture(failure),
            None => Fault::retry(error),
        })?;
    let overlay = match recipe.overlay() {
        Some(overlay) => Some(read_overlay(app, overlay.image).await?),
        None => None,
    };
    let beside = overlay.as_ref().map_or(0, |(header, file)| admission::overlay(header, file));
    let share = app.renderers.share();
    let estimate = admission::estimate(&header, &source, &recipe);
    let needed = |spare_cores| estimate.bytes(spare_cores) + beside;
    let spare_cores = app.admission.spare_cores(share.spare_cores, needed);
    let needed = needed(spare_cores);
    // A picture that ran out of its memory has another attempt with more, where there is more.
    let needed = needed.max(needed.saturating_mul(lease.attempt().into()).min(app.admission.most()));
    let _room = app.admission.room(needed).await.map_err(|no_room| match no_room {
        NoRoom::Ever { .. } => {
            warn!(%image, %no_room, "the picture is too large for this worker");
            let detail = "Rendering this picture would take more memory than there is.".to_owned();
            Fault::Picture(Failure { code: FailureCode::TooLarge, detail })
        }
        NoRoom::Now => Fault::Job(JobError::Snooze(FULL)),
    })?;

    // Holds one rendition besides those on their way: the child waits rather than fill the memory.
    let (encoded, renditions) = mpsc::channel(1);
    let order = Order { recipe, limits: Limits { spare_cores, ..app.limits } };
    let rendered = async move {
        let files = Files { source: &source, overlay: overlay.as_ref().map(|(_, file)| &file[..]) };
        app.renderers.render(&order, files, needed, &encoded).await
    };
    let stored = ReceiverStream::new(renditions)
        .map(|rendered| put(app, image, rendered))
        .buffer_unordered(PUTS)
        .try_collect::<Vec<_>>();
    let (rendered, stored) = tokio::join!(rendered, stored);

    // The bucket's fault goes first: with nobody to take its renditions, the renderer stopped because of it.
    let stored = stored.map_err(Fault::retry)?;
    rendered.map(|facts| (stored, facts)).map_err(|fault| judge(fault, app.render))
}

/// The file of an overlay and its header: the largest rendition of its image, in a format without loss where there is one.
/// Our own work, but no more trusted for it than an upload.
async fn read_overlay(app: &App, image: ImageId) -> Result<(Header, Bytes), Fault> {
    let unusable =
        |detail: &str| Fault::Picture(Failure { code: FailureCode::Unsatisfiable, detail: detail.to_owned() });
    let mut db = app.pool.acquire().await.map_err(Fault::retry)?;
    let found = catalog::get(&mut db, image).await.map_err(Fault::retry)?;
    if found.is_none_or(|image| image.status != Status::Ready) {
        return Err(unusable("The overlay has been deleted."));
    }
    let renditions = catalog::renditions(&mut db, image).await.map_err(Fault::retry)?;
    drop(db);
    let rank = |rendition: &Rendition| {
        let format = match rendition.format {
            RenditionFormat::Png => 3,
            RenditionFormat::Webp => 2,
            RenditionFormat::Avif => 1,
            RenditionFormat::Jpeg => 0,
        };
        (u64::from(rendition.width) * u64::from(rendition.height), format)
    };
    let usable = renditions.into_iter().filter(|rendition| rendition.bytes <= MAX_OVERLAY);
    let best = usable.max_by_key(rank).ok_or_else(|| unusable("The overlay's file is too large."))?;
    let file = app.bucket.get(image, &best).await.map_err(Fault::retry)?;
    let header = header::read(&mut Cursor::new(&file), &app.limits.header).map_err(|error| {
        let error = RenderError::from(error).of_overlay();
        error.failure().map_or_else(|| Fault::retry(error), Fault::Picture)
    })?;
    Ok((header, file))
}

/// What a fault means for the picture and its job.
fn judge(fault: RenderFault, deadline: Duration) -> Fault {
    match fault {
        RenderFault::Refused { failure, cause } => {
            info!(cause, "refused");
            Fault::Picture(failure)
        }
        // It had the processor for most of the time, so it would take as long again.
        RenderFault::TimedOut { processor, .. } if processor >= deadline / 2 => Fault::Picture(timed_out()),
        RenderFault::Crashed { .. } | RenderFault::OutOfMemory { .. } => Fault::Job(JobError::crash(fault)),
        RenderFault::TimedOut { .. } | RenderFault::Failed { .. } | RenderFault::NotTaken | RenderFault::Start(_) => {
            Fault::retry(fault)
        }
    }
}

fn timed_out() -> Failure {
    Failure { code: FailureCode::TimedOut, detail: "Rendering this picture takes too long.".to_owned() }
}

async fn put(app: &App, image: ImageId, rendered: Rendered) -> Result<Rendition, darkroom_shared::bucket::BucketError> {
    let rendition = Rendition {
        name: rendered.name,
        format: rendered.format,
        width: rendered.width,
        height: rendered.height,
        bytes: rendered.bytes.len() as u64,
        sha256: Sha256::digest(&rendered.bytes).into(),
    };
    app.bucket.put(image, &rendition, Bytes::from(rendered.bytes)).await?;
    Ok(rendition)
}

/// One transaction: the job is done, the image ready.
async fn save_ready(app: &App, ready: &Ready, lease: &Lease) -> Result<(), JobError> {
    let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
    lease.complete(&mut tx).await?;
    // `false`: deleted while it was rendered. What has been put is an orphan, and the sweep's.
    let saved = catalog::save_ready(&mut tx, ready).await.map_err(JobError::retry)?;
    tx.commit().await.map_err(JobError::retry)?;
    info!(image = %ready.id(), saved, "ready");
    Ok(())
}

/// One transaction: the job is done, the image failed.
async fn save_failed(app: &App, failed: &Failed, lease: &Lease) -> Result<(), JobError> {
    let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
    lease.complete(&mut tx).await?;
    catalog::save_failed(&mut tx, failed).await.map_err(JobError::retry)?;
    tx.commit().await.map_err(JobError::retry)?;
    info!(image = %failed.id(), code = %failed.failure().code, "failed");
    Ok(())
}

/// Between attempts an image is `queued` again. Best effort: `start` takes up a `processing` image as well.
async fn requeue(app: &App, image: ImageId, lease: &Lease) {
    let requeued = async {
        let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
        lease.lock_if_held(&mut tx).await?;
        catalog::requeue(&mut tx, image).await.map_err(JobError::retry)?;
        tx.commit().await.map_err(JobError::retry)
    };
    if let Err(error) = requeued.await {
        warn!(%image, %error, "cannot put the image back to queued");
    }
}

/// Removes the staged file of a finished image. Best effort: what stays is the sweep's.
async fn remove_staged(app: &App, image: ImageId) {
    if let Err(error) = app.staging.remove(image).await {
        warn!(%image, %error, "cannot remove the staged file, the sweep will");
    }
}

/// The job is given up: so is its image, in the same transaction. The staged file stays for as long as an orphan does,
/// so that an operator can have the job tried again.
pub async fn give_up(
    tx: &mut PgConnection,
    job: &ProcessImage,
    failure: &darkroom_queue::Failure,
) -> Result<(), BoxError> {
    let source = failure.source.as_deref().and_then(|source| source.downcast_ref::<RenderFault>());
    let (code, detail) = match (failure.reason, failure.kind) {
        (_, ErrorKind::Error) if matches!(source, Some(RenderFault::TimedOut { .. })) => {
            (FailureCode::TimedOut, "Rendering this picture takes too long.")
        }
        (FailureReason::Cancelled, _) => (FailureCode::Cancelled, "It was cancelled."),
        (FailureReason::Quarantined, _) | (_, ErrorKind::Panic | ErrorKind::Crash) => {
            (FailureCode::Crashed, "Rendering this picture crashed again and again.")
        }
        (_, ErrorKind::Deadline) => (FailureCode::TimedOut, "Rendering this picture takes too long."),
        _ => (FailureCode::Unavailable, "The picture could not be rendered or stored; it was tried several times."),
    };
    let failed = Failed::given_up(job.image, Failure { code, detail: detail.to_owned() });
    catalog::save_failed(tx, &failed).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_picture_fails_and_a_slow_machine_tries_again() {
        let deadline = Duration::from_mins(1);
        let cut_off = |processor| judge(RenderFault::TimedOut { deadline, processor }, deadline);
        assert!(matches!(cut_off(deadline / 2), Fault::Picture(Failure { code: FailureCode::TimedOut, .. })));
        assert!(matches!(cut_off(deadline / 3), Fault::Job(JobError::Retry(_))));
    }

    #[test]
    fn a_crash_of_the_child_is_a_crash_of_the_job() {
        for fault in [
            RenderFault::Crashed { evidence: "signal 11".to_owned() },
            RenderFault::OutOfMemory { evidence: "signal 6".to_owned() },
        ] {
            assert!(matches!(judge(fault, Duration::ZERO), Fault::Job(JobError::Crash(_))));
        }
    }
}
