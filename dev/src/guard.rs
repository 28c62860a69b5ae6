//! Child processes that end with their parent, even where the parent is killed.

use std::{ffi::OsStr, io, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

/// Leaves a watcher behind and becomes the program. The watcher holds the read end of our pipe: it ends when we do, and
/// then the program, which has the shell's process id, gets the signal. The watcher's own parent ends at once, so that
/// the program does not find a child it never made.
const SCRIPT: &str = r#"
signal=$1; shift
exec 3<&0 </dev/null
( ( exec >/dev/null 2>&1; read -r _ <&3; kill "-$signal" $$ ) & )
exec 3<&-
exec "$@"
"#;

/// A child process that gets its signal when this is dropped, or when this process ends, however that happens.
#[derive(Debug)]
pub struct Guarded {
    /// The process, by its own id. Its standard input is empty.
    pub process: Child,
    /// Not left in `process`: tokio closes the standard input before it waits.
    _alive: ChildStdin,
}

/// Starts `program`, as far as `configure` leaves it to. `signal` is one that `kill` knows, such as `TERM`.
///
/// The child is in a process group of its own: Ctrl-C in a terminal reaches this process only, which then stops its
/// children in order. This works on any Unix, and without `unsafe`, which `PR_SET_PDEATHSIG` would need.
pub fn spawn(program: impl AsRef<OsStr>, signal: &str, configure: impl FnOnce(&mut Command)) -> io::Result<Guarded> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "guard", signal]).arg(program);
    configure(&mut command);
    let mut process = command.process_group(0).stdin(Stdio::piped()).spawn()?;
    let alive = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(Guarded { process, _alive: alive })
}

impl Guarded {
    /// Sends a signal, unless the process has been waited for.
    pub fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // It may have ended by itself just now; then there is nobody to signal.
            let _ = kill_process(pid, signal);
        }
    }
}
