//! The binary `darkroom-api`: reads the settings, connects, serves.

use std::{io::Write as _, process::ExitCode, sync::atomic::Ordering, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use darkroom_api::{App, endpoint, serve, spec_json, spec_yaml};
use darkroom_shared::{
    database,
    settings::{self, Settings},
    signals::StopSignals,
    telemetry,
};
use tokio::{net::TcpListener, runtime::Builder};

/// Maximum number of threads for file I/O: enough to saturate a disk. Tokio's default of 512 only costs memory.
const FILE_IO_THREADS: usize = 64;

/// Darkroom's HTTP API: accepts images, lists them, serves their state and their renditions.
#[derive(Parser)]
#[command(version, after_help = settings::help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API (the default).
    Serve,
    /// Migrates the database to this version's schema.
    Migrate,
    /// Prints the effective settings without secrets.
    Config,
    /// Prints the `OpenAPI` document.
    Openapi {
        /// Prints JSON instead of YAML.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command.unwrap_or(Command::Serve) {
        Command::Openapi { json } => print(&if json { spec_json() } else { spec_yaml() }),
        Command::Config => print_config(),
        Command::Migrate => with_settings(migrate),
        Command::Serve => with_settings(run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with the causes, without a backtrace.
            eprintln!("darkroom-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn with_settings<F: Future<Output = anyhow::Result<()>>>(work: fn(Settings) -> F) -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    telemetry::start(&settings.log);
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(FILE_IO_THREADS).build()?;
    runtime.block_on(work(settings))
}

async fn migrate(settings: Settings) -> anyhow::Result<()> {
    anyhow::ensure!(
        !settings.database.pooler,
        "migrations need a direct connection to Postgres: set DATABASE_URL to it and unset DATABASE_POOLER"
    );
    let db = database::connect(&settings.database).await?;
    database::migrate(&db).await?;
    tracing::info!("the database is up to date");
    Ok(())
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen()?;
    let mut stop = Box::pin(async move { signals.received().await });
    let db = tokio::select! {
        db = database::wait_and_open(&settings.database) => db?,
        () = &mut stop => return Ok(()),
    };
    let app = App::open(db, &settings).await?;
    let listener = TcpListener::bind(settings.api.bind)
        .await
        .with_context(|| format!("cannot listen on {}", settings.api.bind))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    serve(listener, endpoint(&app), stop_accepting(stop, &app, settings.api.drain_delay), settings.api.drain).await;
    app.db.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Resolves `delay` after `stop`. Meanwhile `/readyz` says that the process stops, so that load balancers send no more
/// requests by the time the listener is closed.
async fn stop_accepting(stop: impl Future<Output = ()>, app: &App, delay: Duration) {
    stop.await;
    app.stopping.store(true, Ordering::Relaxed);
    if !delay.is_zero() {
        tracing::info!("not ready any more; accepting requests for another {} s", delay.as_secs());
        tokio::time::sleep(delay).await;
    }
}

fn print_config() -> anyhow::Result<()> {
    let settings = settings::in_force(&|name| std::env::var(name).ok());
    let lines = settings.iter().fold(String::new(), |lines, (name, value)| lines + name + "=" + value + "\n");
    print(&lines)?;
    Settings::from_env()?;
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader closed the pipe, as in `darkroom-api openapi | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write"),
    }
}
