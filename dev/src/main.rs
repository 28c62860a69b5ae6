//! `darkroom-dev`: the local stack as commands, behind the Makefile.

mod demo;
mod prepare;
mod run;
mod scenery;
mod throwaway;

use std::{ffi::OsString, process::ExitCode};

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
    /// (default: 9000, or a free one), `DATABASE_URL` (default: a private Postgres). All settings of the api and the
    /// worker that do not place them, such as LOG or `MAX_UPLOAD_BYTES`, are passed on.
    Run,
    /// Prints the settings of the running stack as `export` lines: `eval "$(darkroom-dev env)"`.
    Env,
    /// Makes a picture, uploads it to the running stack, and shows what becomes of it.
    Demo,
    /// Runs a command with an empty Postgres that is removed afterwards; its URL is in `DATABASE_URL` and in
    /// `DARKROOM_TEST_DATABASE_URL`.
    Postgres {
        /// Data survives a crash of the machine: fsync on, as in production. For measuring.
        #[arg(long)]
        durable: bool,
        /// A setting of the server, name=value. May be given again.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Writes .sqlx, which the checked queries are compiled from where there is no database.
    Prepare {
        /// Changes nothing; fails where .sqlx is not what it should be.
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
        Command::Postgres { durable, settings, command } => throwaway::with_postgres(durable, settings, &command).await,
        Command::Prepare { check } => prepare::prepare(check).await,
    };
    done.unwrap_or_else(|error| failure(&error))
}

/// One line with the causes; never a backtrace.
fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("darkroom-dev: {error:#}");
    ExitCode::FAILURE
}
