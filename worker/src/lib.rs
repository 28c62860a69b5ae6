//! The worker: claims jobs, renders images, writes them to the bucket. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | [`jobs::process_image`] | the main job: staged bytes become renditions, the image becomes ready |
//! | [`jobs::delete_image`] | the job that removes an image for good |
//! | [`compare`] | `darkroom-worker compare`, for operators |
//! | [`queue_command`] | `darkroom-worker queue …`, for operators |
//! | [`jobs::resume_deletions`] | the periodic job that enqueues deletions which no job carries out |
//! | [`jobs::prune_idempotency_keys`] | the periodic job that removes answers which are not given again |
//! | [`jobs::refold_titles`] | the periodic job that folds titles again after a change of the rules |
//! | [`jobs::retry_images`] | the periodic job that tries images again which an outage has failed |
//! | [`jobs::sweep`] | the periodic job that removes what no image claims |
//! | [`sandbox`] | the child processes in which the pipeline runs |

pub mod compare;
pub mod jobs;
mod picture_memory;
pub mod queue_command;
mod registry;
pub mod sandbox;

use std::{sync::Arc, time::Duration};

use darkroom_queue::{Drained, JobError, Supervisor, SupervisorOptions};
use darkroom_shared::{
    bucket::Bucket,
    database::Database,
    installation::{Installation, InstallationError},
    settings::{Settings, SweepLimits},
    signals::StopSignals,
    staging::Staging,
};
use sandbox::{
    SandboxError,
    admission::{Admission, available_memory},
    pool::{MAX_RETAINED_MEMORY, Pool, PoolOptions},
    process::Program,
};
use sqlx::postgres::PgConnectOptions;
use tracing::{error, info, warn};

/// Time until a worker without the right bucket and staging compares them again, and a job that met them is tried again.
const WRONG_STORE_DELAY: Duration = Duration::from_secs(5);

/// What the jobs work with.
#[derive(Debug)]
pub struct App {
    /// The database of the catalog and the queue.
    pub db: Database,
    /// Whether the database, the bucket and staging belong together.
    pub installation: Installation,
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
    /// How long a picture waits for a worker with more memory.
    pub too_large: Duration,
    /// What a sweep may remove.
    pub sweep: SweepLimits,
    /// How long the answer to a request with an `Idempotency-Key` is given again.
    pub idempotency: Duration,
}

impl App {
    /// Opens the bucket and staging by these settings.
    pub async fn open(settings: &Settings, db: Database) -> anyhow::Result<Arc<Self>> {
        let bucket = Bucket::new(&settings.bucket)?;
        let staging = Staging::open(&settings.staging, &settings.bucket.access).await?;
        let budget = settings.worker.render_memory.unwrap_or_else(available_memory::default_budget);
        let admission = Admission::new(budget, settings.worker.concurrency);
        Ok(Arc::new(Self {
            installation: Installation::new(db.clone(), bucket.clone(), staging.clone()),
            db,
            bucket,
            staging,
            limits: darkroom_pipeline::Limits { header: settings.limits.into(), spare_cores: 0, memory: None },
            renderers: Pool::start(PoolOptions {
                program: Program::own()?,
                size: settings.worker.concurrency,
                requests_per_child: settings.worker.child_images,
                deadline: settings.worker.render,
                max_retained: admission.max_retained().min(MAX_RETAINED_MEMORY),
                require_confinement: settings.worker.require_sandbox,
            })?,
            render: settings.worker.render,
            admission,
            orphan_age: settings.worker.orphan,
            too_large: settings.worker.too_large,
            sweep: settings.worker.sweep,
            idempotency: settings.quotas.idempotency,
        }))
    }
}

/// The handlers of all jobs: each file of [`jobs`] implements [`darkroom_queue::Handler`] for one of them.
#[derive(Clone, Debug)]
pub struct Handlers(pub(crate) Arc<App>);

/// Works until SIGTERM or Ctrl-C, then finishes what runs within the grace period. A second signal ends it at once, as
/// a crash would: other workers notice within seconds.
///
/// # Errors
/// Also when a task that it needs has ended, after a panic: what supervises this process must start it again.
pub async fn run(settings: &Settings, app: Arc<App>) -> anyhow::Result<Drained> {
    let mut stop = StopSignals::listen()?;
    report_confinement(&app.renderers).await?;
    info!("uploads wait in {}", settings.staging);
    let is_right_store = tokio::select! {
        () = wait_for_right_stores(&app.installation) => true,
        () = stop.received() => false,
    };
    if !is_right_store {
        return Ok(Drained::default());
    }
    let watch = tokio::spawn(app.installation.clone().watch(true));
    app.renderers.warm_up();
    let database: PgConnectOptions = settings.database.url.expose().parse()?;
    let options = supervisor_options(settings).label(picture_memory::label(app.admission.max_per_picture()));
    let supervisor = Supervisor::start(options, &database)?;

    registry::register(&supervisor, &settings.worker, &Handlers(Arc::clone(&app)))?;
    info!(images = settings.worker.concurrency, "working");

    let ended = tokio::select! {
        () = stop.received() => None,
        task = supervisor.ended() => Some(task),
        () = app.renderers.ended() => Some("render-spawner"),
        _ = watch => Some("installation"),
    };
    if let Some(task) = ended {
        error!(task, "a task of this worker has ended: it stops, to be started again");
    }
    let drained = tokio::select! {
        drained = supervisor.drain(settings.worker.drain) => drained,
        () = stop.received() => anyhow::bail!("told twice to stop: ended at once"),
    };
    info!(handed_back = drained.handed_back, "stopped");
    match ended {
        Some(task) => anyhow::bail!("the task {task} has ended"),
        None => Ok(drained),
    }
}

/// Logs how render processes are confined. An error where they must be confined and are not; the pool logs and repeats other
/// errors.
async fn report_confinement(renderers: &Pool) -> Result<(), SandboxError> {
    match renderers.check_confinement().await {
        Err(error @ SandboxError::Unconfined(_)) => Err(error),
        Err(error) => {
            warn!(%error, "cannot say how render processes are confined");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Waits while the bucket or staging is not that of the database: this worker would take jobs from others that see the
/// uploads. What cannot be compared is compared again before it matters.
async fn wait_for_right_stores(installation: &Installation) {
    installation.check_and_log().await;
    while installation.wrong_store().is_some() {
        tokio::time::sleep(WRONG_STORE_DELAY).await;
        installation.check_and_log().await;
    }
}

/// What a job does that met this error. After a mismatch it waits and no attempt is counted. It waits here first, so
/// that a worker with the wrong store claims few jobs.
pub(crate) async fn after_installation_error(error: InstallationError) -> JobError {
    if error.mismatch().is_none() {
        return error.into();
    }
    warn!("a job waits: {error}");
    tokio::time::sleep(WRONG_STORE_DELAY).await;
    JobError::Snooze(WRONG_STORE_DELAY)
}

fn supervisor_options(settings: &Settings) -> SupervisorOptions {
    let queue = &settings.queue;
    SupervisorOptions::new(process_name())
        .lease(queue.lease)
        .pooler(settings.database.pooler)
        .max_crashes(queue.max_crashes)
        .retention(queue.retention)
        .thresholds(queue.thresholds)
}

/// `host-pid`: where an operator finds the process that the table names.
fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}
