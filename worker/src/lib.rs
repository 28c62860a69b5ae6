//! The worker: claims jobs, renders images, writes them to the bucket. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | [`jobs::process_image`] | the main job: staged bytes become renditions, the image becomes ready |
//! | [`jobs::delete_image`] | the job that removes an image for good |
//! | [`queue_command`] | `darkroom-worker queue …`, for operators |
//! | [`jobs::retry_images`] | the periodic job that tries images again which an outage has failed |
//! | [`jobs::sweep`] | the periodic job that removes what no image claims |
//! | [`sandbox`] | the child processes in which the pipeline runs |

pub mod jobs;
pub mod queue_command;
pub mod sandbox;

use std::{sync::Arc, time::Duration};

use apalis::prelude::{Data, WorkerBuilder};
use darkroom_queue::{Drained, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions};
use darkroom_shared::{
    bucket::Bucket,
    jobs::{DeleteImage, ProcessImage, RetryImages, Sweep},
    settings::Settings,
    signals::StopSignals,
    staging::Staging,
};
use futures::FutureExt as _;
use sandbox::{
    admission::{Admission, available_memory},
    pool::{Pool, PoolOptions},
    process::Program,
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tracing::info;

/// Deletions that run at once: they only wait for the bucket.
const DELETIONS: usize = 4;
/// Hourly: a sweep lists the whole bucket. Not on the hour, when everybody's schedules run.
const SWEEPS: &str = "7 * * * *";
/// An outage that has failed images is perhaps over.
const RETRIES: &str = "*/15 * * * *";
/// What a job may take beside rendering: reading staging, and putting the renditions.
const TRANSFERS: Duration = Duration::from_mins(5);

/// What the jobs work with.
#[derive(Debug)]
pub struct App {
    /// The catalog.
    pub pool: PgPool,
    /// Where renditions go.
    pub bucket: Bucket,
    /// Where uploads wait.
    pub staging: Staging,
    /// What a picture may ask for.
    pub limits: darkroom_pipeline::Limits,
    /// Where pictures are rendered.
    pub renderers: Pool,
    /// Memory for pictures.
    pub admission: Admission,
    /// Longest time of one picture.
    pub render: Duration,
    /// Age from which an orphan is removed.
    pub orphan_age: Duration,
}

impl App {
    /// Opens the bucket and staging by these settings.
    pub async fn open(settings: &Settings, pool: PgPool) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            pool,
            bucket: Bucket::new(&settings.bucket)?,
            staging: Staging::open(&settings.staging, &settings.bucket.access).await?,
            limits: darkroom_pipeline::Limits { header: settings.limits.into(), spare_cores: 0 },
            renderers: Pool::start(PoolOptions {
                program: Program::own()?,
                size: settings.worker.concurrency,
                requests_per_child: settings.worker.child_images,
                deadline: settings.worker.render,
            })?,
            render: settings.worker.render,
            admission: Admission::new(
                settings.worker.render_memory.unwrap_or_else(available_memory::default_budget),
                settings.worker.concurrency,
            ),
            orphan_age: settings.worker.orphan,
        }))
    }
}

/// Works until SIGTERM or Ctrl-C, then finishes what runs within the grace period. A second signal ends it at once, as
/// a crash would: other workers notice within seconds.
pub async fn run(settings: &Settings, app: Arc<App>) -> anyhow::Result<Drained> {
    let mut stop = StopSignals::listen()?;
    app.renderers.warm_up();
    let database: PgConnectOptions = settings.database.url.expose().parse()?;
    let supervisor = Supervisor::start(supervisor_options(settings), &database)?;

    let images = QueueOptions::<ProcessImage>::new(settings.worker.concurrency)
        .deadline(settings.worker.render + TRANSFERS)
        .on_failure(|tx, job, failure| jobs::process_image::give_up(tx, job, failure).boxed());
    let images = supervisor.queue(images);
    let images = WorkerBuilder::new(images.worker_name())
        .backend(images)
        .data(Arc::clone(&app))
        .build(process_images)
        .run_until(supervisor.draining())
        .boxed();

    let deletions = supervisor.queue(QueueOptions::<DeleteImage>::new(DELETIONS));
    let deletions = WorkerBuilder::new(deletions.worker_name())
        .backend(deletions)
        .data(Arc::clone(&app))
        .build(delete_images)
        .run_until(supervisor.draining())
        .boxed();

    let sweeps = supervisor.queue(QueueOptions::<Sweep>::new(1));
    let sweeps = WorkerBuilder::new(sweeps.worker_name())
        .backend(sweeps)
        .data(Arc::clone(&app))
        .build(sweeps_handler)
        .run_until(supervisor.draining())
        .boxed();

    let retries = supervisor.queue(QueueOptions::<RetryImages>::new(1));
    let retries = WorkerBuilder::new(retries.worker_name())
        .backend(retries)
        .data(Arc::clone(&app))
        .build(retry_images)
        .run_until(supervisor.draining())
        .boxed();

    supervisor.schedule("sweep", SWEEPS, || Sweep {})?;
    supervisor.schedule("retry-images", RETRIES, || RetryImages {})?;

    let workers = tokio::spawn(async move { tokio::try_join!(images, deletions, sweeps, retries) });
    info!(images = settings.worker.concurrency, "working");

    stop.received().await;
    let drained = tokio::select! {
        drained = supervisor.drain(settings.worker.drain) => drained,
        () = stop.received() => anyhow::bail!("told twice to stop: ended at once"),
    };
    workers.await??;
    info!(handed_back = drained.handed_back, "stopped");
    Ok(drained)
}

fn supervisor_options(settings: &Settings) -> SupervisorOptions {
    let queue = &settings.queue;
    SupervisorOptions {
        name: process_name(),
        lease: queue.lease,
        heartbeat: queue.lease / 6,
        pooler: settings.database.pooler,
        max_crashes: queue.max_crashes,
        retention: queue.retention,
        thresholds: queue.thresholds,
        ..SupervisorOptions::default()
    }
}

/// `host-pid`: where an operator finds the process that the table names.
fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}

async fn process_images(job: ProcessImage, lease: Lease, app: Data<Arc<App>>) -> Result<(), JobError> {
    jobs::process_image::process_image(&app, &job, &lease).await
}

async fn delete_images(job: DeleteImage, lease: Lease, app: Data<Arc<App>>) -> Result<(), JobError> {
    jobs::delete_image::delete_image(&app, &job, &lease).await
}

async fn retry_images(_: RetryImages, app: Data<Arc<App>>) -> Result<(), JobError> {
    jobs::retry_images::retry_images(&app).await.map(drop)
}

async fn sweeps_handler(_: Sweep, app: Data<Arc<App>>) -> Result<(), JobError> {
    jobs::sweep::sweep(&app).await.map(drop)
}
