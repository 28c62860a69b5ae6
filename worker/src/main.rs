//! `darkroom-worker`: read the settings, connect, work.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use darkroom_queue::Drained;
use darkroom_shared::{
    database,
    settings::{self, Settings},
    telemetry,
};
use darkroom_worker::{
    App,
    compare::{self, CompareCommand},
    jobs::sweep::sweep,
    queue_command::{self, QueueCommand},
    run, sandbox,
};

/// The exit code of a worker that stopped before all of its jobs ended. Those jobs run again, here or elsewhere.
const NOT_DRAINED: u8 = 3;

/// Renders the images that the api has accepted.
#[derive(Parser)]
#[command(version, after_help = settings::help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Work until SIGTERM or Ctrl-C (the default).
    Run,
    /// Remove, once and now, what crashes have left in staging and in the bucket.
    Sweep,
    /// Compare the whole bucket with the catalog, and print how many objects belong to no image.
    Compare(CompareCommand),
    /// Inspect and control the queue.
    Queue(QueueCommand),
    /// Render for the worker that started this process.
    #[command(hide = true)]
    RenderChild,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command.unwrap_or(Command::Run) {
        // Without a runtime, because its threads would not be confined.
        Command::RenderChild => return sandbox::child::main(),
        Command::Run => with_settings(work),
        Command::Sweep => with_settings(sweep_once),
        Command::Compare(command) => with_settings(|settings| compare_bucket(settings, command)),
        Command::Queue(command) => with_settings(|settings| control_queue(settings, command)),
    };
    result.unwrap_or_else(|error| {
        // One line with all causes; a backtrace does not help to correct a setting.
        eprintln!("darkroom-worker: {error:#}");
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn with_settings<F>(command: impl FnOnce(Settings) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let settings = Settings::from_env()?;
    telemetry::start(&settings.log);
    command(settings).await
}

async fn work(settings: Settings) -> anyhow::Result<ExitCode> {
    let db = database::wait_and_open(&settings.database).await?;
    let app = App::open(&settings, db).await?;
    match run(&settings, app).await? {
        Drained { handed_back: 0, unwritten: 0, .. } => Ok(ExitCode::SUCCESS),
        Drained { .. } => Ok(ExitCode::from(NOT_DRAINED)),
    }
}

async fn sweep_once(settings: Settings) -> anyhow::Result<ExitCode> {
    let db = database::open(&settings.database).await?;
    let swept = sweep(&*App::open(&settings, db).await?).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    println!("removed {} staged files and {} objects", swept.staged, swept.objects);
    Ok(ExitCode::SUCCESS)
}

async fn compare_bucket(settings: Settings, command: CompareCommand) -> anyhow::Result<ExitCode> {
    let db = database::open(&settings.database).await?;
    compare::run(&*App::open(&settings, db).await?, &command).await
}

async fn control_queue(settings: Settings, command: QueueCommand) -> anyhow::Result<ExitCode> {
    let db = database::open(&settings.database).await?;
    queue_command::run(&db, &settings.queue, command).await
}
