//! Child processes that end with their parent, even if the parent is killed.

use std::{ffi::OsStr, io, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

/// Starts a watcher in the background, then becomes the program with `exec`. The watcher reads from a pipe that this
/// process holds open. When this process ends, the read returns, and the watcher signals the program, which has the
/// shell's process id. The watcher is orphaned at once, so that the program has no child that it did not start.
const SCRIPT: &str = r#"
signal=$1; shift
exec 3<&0 </dev/null
( ( exec >/dev/null 2>&1; read -r _ <&3; kill "-$signal" $$ ) & )
exec 3<&-
exec "$@"
"#;

/// A child process that is signalled when this is dropped, and when this process ends for any reason.
#[derive(Debug)]
pub struct BoundChild {
    /// The process. Its standard input is empty.
    pub process: Child,
    /// Not in `process`, because tokio closes the standard input before it waits for the process.
    _alive: ChildStdin,
}

/// Starts `program`. `configure` adds arguments and the environment. `signal` is a name that `kill` accepts, such as
/// `TERM`.
///
/// The child has its own process group, so that Ctrl-C in a terminal signals only this process, which then stops its
/// children in order. This works on every Unix and without `unsafe`, unlike `PR_SET_PDEATHSIG`.
pub fn spawn(program: impl AsRef<OsStr>, signal: &str, configure: impl FnOnce(&mut Command)) -> io::Result<BoundChild> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "bound-child", signal]).arg(program);
    configure(&mut command);
    let mut process = command.process_group(0).stdin(Stdio::piped()).spawn()?;
    let alive = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(BoundChild { process, _alive: alive })
}

impl BoundChild {
    /// Sends a signal, unless the process has been reaped.
    pub fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // Fails if the process has exited in the meantime.
            let _ = kill_process(pid, signal);
        }
    }
}
