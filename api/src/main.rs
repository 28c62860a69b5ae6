//! The binary `darkroom-api`: reads the settings, connects, serves.

mod operators;

use std::{
    io::Write as _,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use darkroom_api::{
    App, ConnectionLimits, ServerOptions, endpoint, health_endpoint, limits, serve, spec_json, spec_yaml,
};
use darkroom_shared::{
    database,
    settings::{self, Settings},
    signals::StopSignals,
    telemetry,
};
use futures::FutureExt as _;
use operators::{
    access::{AuditCommand, OwnersCommand},
    keys::KeysCommand,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Builder,
};

/// Maximum number of threads for file I/O: enough to saturate a disk. Tokio's default of 512 only costs memory.
const FILE_IO_THREADS: usize = 64;

/// How many connections may wait in the kernel until they are accepted; the kernel's own limit is 4096 by default.
const LISTEN_BACKLOG: u32 = 4096;

/// Maximum number of connections of the listener that serves only probes.
const HEALTH_CONNECTIONS: usize = 64;

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
    /// Checks Postgres, the bucket and staging, and whether they belong together. Fails if anything is wrong.
    Doctor,
    /// Takes over the bucket and staging for this database, after a restore or a move. Says what it would do.
    Adopt {
        /// Does it.
        #[arg(long)]
        yes: bool,
    },
    /// Makes, lists and changes API keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Makes and lists owners: each key belongs to one, and sees only what is its owner's.
    #[command(subcommand)]
    Owners(OwnersCommand),
    /// Prints the audit log, newest first: administrative actions, with their actor, time and client address.
    Audit(AuditCommand),
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
        Command::Doctor => with_settings(operators::doctor),
        Command::Adopt { yes } => with_settings(move |settings| operators::adopt(settings, yes)),
        Command::Keys(command) => with_settings(|settings| command.run(settings)),
        Command::Owners(command) => with_settings(|settings| command.run(settings)),
        Command::Audit(command) => with_settings(|settings| command.run(settings)),
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

fn with_settings<F: Future<Output = anyhow::Result<()>>>(work: impl FnOnce(Settings) -> F) -> anyhow::Result<()> {
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
    app.authenticator.check_start(settings.api.bind).await?;
    tracing::info!("uploads wait in {}", settings.staging);
    drop(app.critical.spawn("watch of the installation", app.installation.clone().watch(false)));
    let authenticator = Arc::clone(&app.authenticator);
    drop(app.critical.spawn("upkeep of keys and audit log", async move { authenticator.maintain().await }));
    let limiter = Arc::clone(&app.limiter);
    drop(app.critical.spawn("limits of owners", async move { limiter.maintain().await }));
    let limits = limits::connections(&settings.api.limits, limits::raise_open_files());
    let options = ServerOptions {
        limits,
        idle_timeout: app.idle_timeout,
        min_bytes_per_second: settings.api.limits.min_bytes_per_second,
        grace: settings.api.drain,
    };
    tracing::info!("at most {} connections and {} requests", limits.connections, limits.requests);
    let stop = stop_accepting(stop, app.clone(), settings.api.drain_delay).boxed().shared();
    let health = match settings.api.limits.health_bind {
        None => None,
        Some(address) => {
            let listener = listen(address)?;
            tracing::info!("listening for probes on http://{}", listener.local_addr()?);
            let limits = ConnectionLimits { connections: HEALTH_CONNECTIONS, requests: HEALTH_CONNECTIONS };
            let options = ServerOptions { limits, ..options.clone() };
            let served = serve(listener, health_endpoint(&app), stop.clone(), options);
            Some(app.critical.spawn("listener for probes", served))
        }
    };
    let listener = listen(settings.api.bind)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    serve(listener, endpoint(&app), stop, options).await;
    if let Some(health) = health {
        health.await?;
    }
    app.notifier.close().await;
    app.limiter.stop().await;
    app.authenticator.record_uses().await;
    app.db.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restarted process may listen while connections of the former one are being closed.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(LISTEN_BACKLOG)
    };
    listen().with_context(|| format!("cannot listen on {address}"))
}

/// Resolves `delay` after `stop`. Meanwhile `/readyz` says that the process stops, so that load balancers send no more
/// requests by the time the listener is closed.
async fn stop_accepting(stop: impl Future<Output = ()>, app: App, delay: Duration) {
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
