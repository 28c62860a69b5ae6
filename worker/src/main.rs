//! `darkroom-worker`: settings, connect, work.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use darkroom_queue::Drained;
use darkroom_shared::{
    config::{self, Settings},
    database, telemetry,
};
use darkroom_worker::{
    App,
    jobs::sweep::sweep,
    queue_command::{self, QueueCommand},
    run, sandbox,
};

/// Renders the images that the api has accepted.
#[derive(Parser)]
#[command(version, after_help = config::help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Work until SIGTERM or Ctrl-C (the default).
    Run,
    /// Remove once, now, what no image claims any more.
    Sweep,
    /// Look at the queue, and tell it what to do.
    Queue(QueueCommand),
    /// Render what the worker that has started this process orders.
    #[command(hide = true)]
    RenderChild,
}

fn main() -> ExitCode {
    match Arguments::parse().command.unwrap_or(Command::Run) {
        // Without a runtime: its threads would not be confined.
        Command::RenderChild => sandbox::child::main(),
        command => match work(command) {
            Ok(code) => code,
            Err(error) => {
                // One line, causes included; a backtrace helps nobody who has to fix a setting.
                eprintln!("darkroom-worker: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

#[tokio::main]
async fn work(command: Command) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    telemetry::start(&settings.log);
    let pool = match command {
        Command::Run => database::wait_and_open(&settings.database).await?,
        // Somebody waits for its answer.
        Command::Sweep | Command::Queue(_) | Command::RenderChild => database::open(&settings.database).await?,
    };
    match command {
        Command::Run => Ok(match run(&settings, App::open(&settings, pool).await?).await? {
            Drained { handed_back: 0, unwritten: 0, .. } => ExitCode::SUCCESS,
            // Not everything ended within the grace period; what did not runs elsewhere, or again.
            Drained { .. } => ExitCode::from(3),
        }),
        Command::Sweep => {
            let swept = sweep(&*App::open(&settings, pool).await?).await.map_err(|error| anyhow::anyhow!("{error}"))?;
            println!("removed {} staged files and {} objects", swept.staged, swept.objects);
            Ok(ExitCode::SUCCESS)
        }
        Command::Queue(command) => queue_command::run(&pool, &settings.queue, command).await,
        Command::RenderChild => unreachable!("main has taken it"),
    }
}
