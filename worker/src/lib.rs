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
mod registry;
pub mod sandbox;

use std::{sync::Arc, time::Duration};

use darkroom_queue::{Drained, Supervisor, SupervisorOptions};
use darkroom_shared::{bucket::Bucket, database::Database, settings::Settings, signals::StopSignals, staging::Staging};
use sandbox::{
    admission::{Admission, available_memory},
    pool::{Pool, PoolOptions},
    process::Program,
};
use sqlx::postgres::PgConnectOptions;
use tracing::info;

/// What the jobs work with.
#[derive(Debug)]
pub struct App {
    /// The catalog.
    pub db: Database,
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
    pub async fn open(settings: &Settings, db: Database) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            db,
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

/// The handlers of all jobs: each file of [`jobs`] implements [`darkroom_queue::Handler`] for one of them.
#[derive(Clone, Debug)]
pub struct Handlers(pub(crate) Arc<App>);

/// Works until SIGTERM or Ctrl-C, then finishes what runs within the grace period. A second signal ends it at once, as
/// a crash would: other workers notice within seconds.
pub async fn run(settings: &Settings, app: Arc<App>) -> anyhow::Result<Drained> {
    let mut stop = StopSignals::listen()?;
    app.renderers.warm_up();
    let database: PgConnectOptions = settings.database.url.expose().parse()?;
    let supervisor = Supervisor::start(supervisor_options(settings), &database)?;

    registry::register(&supervisor, &settings.worker, &Handlers(Arc::clone(&app)))?;
    info!(images = settings.worker.concurrency, "working");

    stop.received().await;
    let drained = tokio::select! {
        drained = supervisor.drain(settings.worker.drain) => drained,
        () = stop.received() => anyhow::bail!("told twice to stop: ended at once"),
    };
    info!(handed_back = drained.handed_back, "stopped");
    Ok(drained)
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
