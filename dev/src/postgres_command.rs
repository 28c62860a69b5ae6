//! `darkroom-dev postgres -- command`: runs a command with a temporary Postgres.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use darkroom_dev::{
    postgres::{Cluster, install},
    testing::DATABASE_VARIABLE,
};

use crate::command::{self, Signals};

/// Runs the command and returns its exit code. The cluster is removed when this returns.
pub(crate) async fn run_with_postgres(durable: bool, settings: Vec<String>, command: &[OsString]) -> Result<ExitCode> {
    install::ensure()?;
    let signals = Signals::listen()?;
    let mut cluster = Cluster::throwaway_with(durable, settings).await?;
    let env = [(DATABASE_VARIABLE, cluster.url("postgres")), ("DATABASE_URL", cluster.url("postgres"))];
    let ended = async { format!("Postgres has ended: {}", cluster.ended().await) };
    command::run(command, &env, signals, ended).await
}
