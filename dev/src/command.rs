//! Runs a command beside something that it needs.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// Signals that are to end the command and not this process, which cleans up afterwards. To be made before there is anything to
/// clean up.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

/// Runs a command with these variables, and returns its exit code.
///
/// # Errors
/// It cannot be started, or `ended` has said first why it cannot go on.
pub(crate) async fn run(
    command: &[OsString],
    env: &[(&str, String)],
    mut signals: Signals,
    ended: impl Future<Output = String>,
) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command is given")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(env.iter().map(|(name, value)| (*name, value.as_str())))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    tokio::pin!(ended);
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            reason = &mut ended => anyhow::bail!(reason),
            // In a terminal Ctrl-C signals the command too.
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => {
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
