//! `darkroom-dev`: the local stack as commands, behind the Makefile.

mod bucket_command;
mod command;
mod demo;
mod demo_picture;
mod postgres_command;
mod prepare;
mod run;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

/// Darkroom's local stack: for developing, testing and trying out. Not for production.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs Postgres, an S3 server, the api and a worker in this terminal, until Ctrl-C.
    ///
    /// From the environment: `DATA_DIR` (default: data; holds everything), `PORT` of the api (default: 8000), `S3_PORT`
    /// (default: 9000, or a free one), `DATABASE_URL` (default: a private Postgres). All other settings of the api
    /// and the worker, such as LOG or `MAX_UPLOAD_BYTES`, are passed on.
    Run,
    /// Prints the settings of the running stack as `export` lines: `eval "$(darkroom-dev env)"`. With `DARKROOM_URL` and an API
    /// key in `DARKROOM_KEY`.
    Env,
    /// Uploads a computed picture to the running stack and prints its renditions.
    Demo,
    /// Runs a command with an empty, temporary Postgres; its URL is in `DATABASE_URL` and in
    /// `DARKROOM_TEST_DATABASE_URL`.
    Postgres {
        /// With fsync, as in production. For benchmarks.
        #[arg(long)]
        durable: bool,
        /// A setting of the server, name=value. Can be repeated.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Runs a command with an empty, temporary S3 server; its address, keys and bucket are in the environment. Prints the number
    /// of requests in the end.
    Bucket {
        /// Delays every request by this many milliseconds.
        #[arg(long, default_value_t = 0)]
        latency: u64,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Writes .sqlx, from which queries are checked when they are compiled without a database.
    Prepare {
        /// Changes nothing; fails if .sqlx is out of date.
        #[arg(long)]
        check: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = prepare::become_the_compiler() {
        return failure(&error);
    }
    let done = match Cli::parse().command {
        Command::Run => run::run().await,
        Command::Env => run::print_env(),
        Command::Demo => demo::demo().await,
        Command::Postgres { durable, settings, command } => {
            postgres_command::run_with_postgres(durable, settings, &command).await
        }
        Command::Bucket { latency, command } => {
            bucket_command::run_with_bucket(Duration::from_millis(latency), &command).await
        }
        Command::Prepare { check } => prepare::prepare(check).await,
    };
    done.unwrap_or_else(|error| failure(&error))
}

/// Prints an error with its causes in one line.
fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("darkroom-dev: {error:#}");
    ExitCode::FAILURE
}
