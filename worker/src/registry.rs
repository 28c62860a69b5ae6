//! Every job of the worker: its queue, its handler and its concurrency, one line each.

use std::time::Duration;

use darkroom_queue::{QueueOptions, Supervisor};
use darkroom_shared::{
    jobs::{DeleteImage, ProcessImage, PruneIdempotencyKeys, RefoldTitles, ResumeDeletions, RetryImages, Sweep},
    settings::WorkerSettings,
};

use crate::Handlers;

/// Images in progress per render slot, those that wait for the slot of a render included: while one is rendered, others
/// are started and read. Large pictures that wait for memory, and pictures whose renditions are being stored, come in
/// addition; `sandbox::admission` bounds both.
const IMAGES_PER_SLOT: u16 = 4;
/// Deletions that run at once: they only wait for the bucket.
const DELETIONS: usize = 4;
/// Time of an image's job beside rendering: reading the upload, and writing the renditions.
const TRANSFERS: Duration = Duration::from_mins(5);
/// Hourly, because what it removes is no hurry; not on the hour, when most schedules run.
const SWEEPS: &str = "7 * * * *";
/// Every 15 min: requeue images failed as `unavailable`.
const RETRIES: &str = "*/15 * * * *";
/// Every 15 min: enqueue deletions that no job carries out.
const RESUMED_DELETIONS: &str = "10-59/15 * * * *";

/// Every 15 min: fold titles again. Reads an empty index where there is nothing to do.
const REFOLDS: &str = "3-59/15 * * * *";

/// Every 15 min: remove answers that are not given again.
const PRUNES: &str = "6-59/15 * * * *";

/// Starts to work on all queues.
pub(crate) fn register(supervisor: &Supervisor, settings: &WorkerSettings, handlers: &Handlers) -> anyhow::Result<()> {
    // Before its own time, an image waits for those before it at its slot, and for one large image.
    let rendering = settings.render * (u32::from(IMAGES_PER_SLOT) + 1);
    let images = QueueOptions::new(settings.concurrency * usize::from(IMAGES_PER_SLOT)).deadline(rendering + TRANSFERS);
    // Of the pictures that wait for memory in another worker, one with free slots renders some.
    supervisor.work::<ProcessImage>(images.take_over_idle(), handlers.clone())?;
    let deletions = QueueOptions::new(DELETIONS).deadline(TRANSFERS);
    supervisor.work::<DeleteImage>(deletions, handlers.clone())?;
    supervisor.work::<ResumeDeletions>(QueueOptions::new(1), handlers.clone())?;
    supervisor.work::<Sweep>(QueueOptions::new(1), handlers.clone())?;
    supervisor.work::<RefoldTitles>(QueueOptions::new(1), handlers.clone())?;
    supervisor.work::<RetryImages>(QueueOptions::new(1), handlers.clone())?;
    supervisor.work::<PruneIdempotencyKeys>(QueueOptions::new(1), handlers.clone())?;

    supervisor.schedule("sweep", SWEEPS, || Sweep {})?;
    supervisor.schedule("retry-images", RETRIES, || RetryImages {})?;
    supervisor.schedule("refold-titles", REFOLDS, || RefoldTitles {})?;
    supervisor.schedule("prune-idempotency-keys", PRUNES, || PruneIdempotencyKeys {})?;
    supervisor.schedule("resume-deletions", RESUMED_DELETIONS, || ResumeDeletions {})?;
    Ok(())
}
