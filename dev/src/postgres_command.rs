//! `darkroom-dev postgres -- command`: runs a command with a temporary Postgres.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use darkroom_dev::{
    postgres::{Cluster, install},
    testing::DATABASE_VARIABLE,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// Runs the command and returns its exit code. The cluster is removed when this returns.
pub(crate) async fn run_with_postgres(durable: bool, settings: Vec<String>, command: &[OsString]) -> Result<ExitCode> {
    install::ensure()?;
    let (program, arguments) = command.split_first().context("no command is given")?;
    // In a terminal Ctrl-C signals the command too, so this process only waits for its end and cleans up.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut cluster = Cluster::throwaway_with(durable, settings).await?;
    let mut child = Command::new(program)
        .args(arguments)
        .env(DATABASE_VARIABLE, cluster.url("postgres"))
        .env("DATABASE_URL", cluster.url("postgres"))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            reason = cluster.ended() => anyhow::bail!("Postgres has ended: {reason}"),
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {
                if let Some(pid) = pid {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
    }
}

/// The exit code that a shell reports: 128 plus the number of the signal for a killed command.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
