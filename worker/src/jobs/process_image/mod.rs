//! The main job: the staged upload becomes renditions in the bucket, and the image becomes ready.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the handler: the steps in their order |
//! | `state.rs` | the transactions that change the image's status |
//! | `inputs.rs` | the source, its header and the overlay |
//! | `memory.rs` | cores and memory for the picture |
//! | `too_large.rs` | a picture that needs a larger worker |
//! | `store.rs` | renditions into the bucket |
//! | `uncommitted.rs` | removes what an attempt stored and cannot commit |
//! | `failure.rs` | errors as failures of the image or of the job |
//!
//! The order: what the catalog knows, memory for it, `processing`, the files, a render slot, the renditions, the commit.
//! Several pictures are between two of these steps at once; only rendering takes a slot.
//!
//! Every step may run again after a crash: starting an image is idempotent, object keys contain the hash of the
//! content, and the transaction that makes the image ready also completes the job, guarded by the lease. The staged
//! file is removed last. An attempt that dies leaves its put intent, by which the sweep finds the image.

mod failure;
mod inputs;
mod memory;
mod state;
mod store;
mod too_large;
mod uncommitted;

use darkroom_model::{Failure, ImageAnalysis, OwnedImage, Rendition, recipe::Recipe};
use darkroom_pipeline::Limits;
use darkroom_queue::{BoxError, Handler, JobError, Lease, StopReason};
use darkroom_shared::jobs::ProcessImage;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tracing::{info, warn};

use self::{memory::Resources, store::Puts};
use crate::{App, Handlers, after_installation_error, sandbox::protocol::RenderRequest};

/// The outcome of a step. `Err`: the job is tried again. `Ok(Err)`: the image fails, because another attempt would not
/// help.
type Outcome<T> = Result<Result<T, Failure>, JobError>;

/// A rendered image: its renditions, all in the bucket, and what was found in its pixels.
type RenderedImage = (Vec<Rendition>, ImageAnalysis);

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
        failure::give_up(tx, job, why).await
    }
}

/// Renders one image. An image that cannot be rendered becomes `failed`, and the job is done. After an error of the
/// bucket, the disk or the database the queue tries the job again.
async fn process_image(app: &App, job: &ProcessImage, lease: &Lease) -> Result<(), JobError> {
    let image = OwnedImage { owner: job.owner, id: job.image };
    if let Some(mismatch) = app.installation.wrong_store() {
        return tokio::select! {
            error = after_installation_error(mismatch.into()) => Err(error),
            _ = lease.stopped() => Err(JobError::Cancelled),
        };
    }
    // An image that waits for memory is still `queued`: no attempt counts, and its file is not read.
    let Some(facts) = state::unrendered(app, image).await? else {
        info!(%image, "finished or deleted already, nothing to do");
        return Ok(());
    };
    let mut resources = tokio::select! {
        resources = Resources::admit(app, lease, image, &facts) => resources?,
        _ = lease.stopped() => return Err(JobError::Cancelled),
    };
    let Some(processing) = state::start(app, image, lease).await? else {
        info!(%image, "finished or deleted meanwhile, nothing to do");
        return Ok(());
    };

    let (recipe, intent) = (processing.recipe().clone(), processing.intent());
    let puts = Puts::default();
    let rendered = render(app, image, recipe, lease, &mut resources, &puts).await;
    resources.stored();
    // Of an attempt that has stored nothing, nothing can be left.
    let ended = Some(intent).filter(|_| puts.is_empty());
    let saved = match rendered {
        Ok(Ok((renditions, analysis))) => state::save_ready(app, &processing.ready(renditions, analysis), lease).await,
        Ok(Err(failure)) => state::save_failed(app, &processing.failed(failure), ended, lease).await.map(|()| false),
        Err(error) => Err(error),
    };
    let is_ready = saved.as_ref().is_ok_and(|is_ready| *is_ready);
    let saved = saved.map(drop);
    match &saved {
        Ok(()) => remove_staged(app, image).await,
        // Without the lease, another attempt owns the image.
        Err(_) if lease.stop_reason().is_some() => state::end(app, ended).await,
        Err(error) => {
            let is_requeued = state::requeue(app, image, ended, lease).await;
            let may_be_last = matches!(error, JobError::Crash(_) | JobError::Quarantine(_)) || lease.is_last_attempt();
            // The next attempt stores the same objects again.
            if is_requeued && !may_be_last {
                return saved;
            }
        }
    }
    if !puts.is_empty() && !is_ready {
        match lease.stop_reason() {
            // The process has a second left, and the next attempt stores the same objects again.
            Some(StopReason::Draining) => {}
            Some(StopReason::LeaseLost) => uncommitted::remove(app, intent, &puts, None).await,
            _ => uncommitted::remove(app, intent, &puts, Some(lease).filter(|_| saved.is_err())).await,
        }
    }
    saved
}

/// A step that ends at once when the attempt should stop.
async fn until_stopped<T>(lease: &Lease, step: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        outcome = step => outcome,
        _ = lease.stopped() => Err(JobError::Cancelled),
    }
}

/// Renders in a child process, and stores each rendition as soon as it is encoded. An attempt that should stop kills the
/// child, but waits for the objects that are under way to the bucket, so that they can be removed.
async fn render(
    app: &App,
    image: OwnedImage,
    recipe: Recipe,
    lease: &Lease,
    resources: &mut Resources<'_>,
    puts: &Puts,
) -> Outcome<RenderedImage> {
    let (inputs, memory) = match until_stopped(lease, resources.load(&recipe)).await? {
        Ok(loaded) => loaded,
        Err(failure) => return Ok(Err(failure)),
    };
    let format = inputs.source.header.format;
    let slot = tokio::select! {
        slot = resources.render_slot(&memory) => slot,
        _ = lease.stopped() => return Err(JobError::Cancelled),
    };

    // One rendition waits besides those that are being stored; then the child waits, so that memory is bounded.
    let (sender, renditions) = mpsc::channel(1);
    let limits = Limits { spare_cores: slot.spare_cores, ..app.limits };
    let request = RenderRequest { recipe, limits, owner: image.owner };
    let rendering = async move {
        let rendered = tokio::select! {
            rendered = app.renderers.render(&request, inputs.files(), slot.memory, &sender) => Some(rendered),
            _ = lease.stopped() => None,
        };
        drop((slot, inputs));
        resources.rendered();
        rendered
    };
    let (rendered, stored) = tokio::join!(rendering, store::store_all(app, image, renditions, puts));

    // An error of the bucket comes first: it closes the channel, which then ends the rendering too.
    let stored = stored?;
    match rendered {
        Some(Ok(analysis)) => Ok(Ok((stored, analysis))),
        Some(Err(error)) => {
            let attempt = failure::Attempt { deadline: app.render, crashes: lease.crashes(), format };
            failure::of_rendering(error, &attempt).map(Err)
        }
        None => Err(JobError::Cancelled),
    }
}

/// Removes the staged file of a finished image. If that fails, the sweep removes it later.
async fn remove_staged(app: &App, image: OwnedImage) {
    if let Err(error) = app.staging.remove(image.owner, image.id).await {
        warn!(%image, %error, "cannot remove the staged file, the sweep will");
    }
}
