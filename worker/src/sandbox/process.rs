//! One render child as seen by the worker: spawn, request, deadline, reap.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use darkroom_model::{ImageAnalysis, Owner};
use darkroom_pipeline::{Files, Rendered};
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{self, Command},
    sync::mpsc,
    time::timeout,
};

use super::{
    CrashCause, SandboxError,
    confinement::Confinement,
    conversation::{Ended, RemainingTime, receive_renditions},
    protocol::{self, Frame, ProtocolError, RenderRequest, Reply},
    resource_limits::{self, ResourceLimits},
};

/// How long a child may take to be spawned, and then to become ready.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a child that has closed its socket may take to exit before it is killed, so that its exit status is known.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Free memory that a child's allocator may keep, in bytes.
const MALLOC_THRESHOLD: &str = "67108864";
/// The signal at the soft limit of CPU time, on Linux, macOS and the BSDs.
const SIGXCPU: i32 = 24;

/// The program of the children.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The arguments that make it run as a child.
    pub arguments: Vec<String>,
}

impl Program {
    /// This process's executable, even if its file has been replaced: both sides must speak the same protocol.
    ///
    /// # Errors
    /// The system does not say which file it is.
    pub fn own() -> io::Result<Self> {
        let path = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        Ok(Self { path, arguments: vec!["render-child".to_owned()] })
    }
}

/// A child process. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    pid: u32,
    socket: UnixStream,
    /// Number of requests so far.
    pub(super) requests: u32,
    /// Who the pictures belong to that it has rendered; `None` before the first.
    pub(super) owner: Option<Owner>,
    /// CPU time used before the latest request.
    cpu_time_before: Duration,
    /// Address space when it became ready, in bytes.
    first_address_space: u64,
}

impl Child {
    /// Spawns a child; blocks for the time of a fork. The child dies with the calling thread. The caller must have
    /// entered a tokio runtime.
    pub(super) fn spawn(program: &Program) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let process = Command::new(&program.path)
            .arg0("darkroom-render")
            .args(&program.arguments)
            // The worker's environment contains secrets.
            .env_clear()
            // Each arena of glibc reserves 64 MB of address space, which is limited.
            .env("MALLOC_ARENA_MAX", "1")
            // By default glibc returns large buffers to the kernel, which clears them again: a seventh of the time of a
            // photograph.
            .env("MALLOC_MMAP_THRESHOLD_", MALLOC_THRESHOLD)
            .env("MALLOC_TRIM_THRESHOLD_", MALLOC_THRESHOLD)
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to the worker alone, which lets its children finish.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = process.id().ok_or_else(|| io::Error::other("the child has no process id"))?;
        Ok(Self {
            process,
            pid,
            socket: UnixStream::from_std(ours)?,
            requests: 0,
            owner: None,
            cpu_time_before: Duration::ZERO,
            first_address_space: u64::MAX,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the child is confined and ready for requests.
    pub(super) async fn wait_until_ready(&mut self) -> Result<Confinement, SandboxError> {
        match timeout(START_TIMEOUT, protocol::receive(&mut self.socket, 0)).await {
            Ok(Ok(Frame { head: Reply::Ready(confinement), .. })) => {
                self.first_address_space = resource_limits::address_space(self.pid).unwrap_or(u64::MAX);
                Ok(confinement)
            }
            Ok(Ok(_)) => Err(not_ready("its first reply is not that it is ready".to_owned())),
            Ok(Err(error)) => Err(match self.reap(&error).await {
                SandboxError::Crashed { evidence, .. } => not_ready(evidence),
                error => error,
            }),
            Err(_) => Err(not_ready(format!("it was not ready within {START_TIMEOUT:?}"))),
        }
    }

    /// Whether the process has exited.
    pub(super) fn has_exited(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Renders one picture. After an error that does not leave the child usable
    /// ([`SandboxError::leaves_child_usable`]), drop the child.
    ///
    /// The deadline covers everything that the child does, but not the time in which it waits for a receiver of its
    /// renditions.
    pub(super) async fn render(
        &mut self,
        request: &RenderRequest,
        files: Files<'_>,
        limits: ResourceLimits,
        deadline: Duration,
        renditions: &mpsc::Sender<Rendered>,
    ) -> Result<ImageAnalysis, SandboxError> {
        self.requests += 1;
        self.owner = Some(request.owner);
        self.cpu_time_before = resource_limits::cpu_time(self.pid).unwrap_or_default();
        if let Err(error) = resource_limits::apply(self.pid, limits) {
            return Err(self.reap(&ProtocolError::Io(error)).await);
        }
        let mut remaining = RemainingTime::new(deadline);
        match remaining.run(send_request(&mut self.socket, request, files)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(self.reap(&error).await),
            None => return Err(self.kill_late(deadline)),
        }
        match receive_renditions(&mut self.socket, limits.renditions, &mut remaining, renditions).await {
            Ok(analysis) => Ok(analysis),
            Err(Ended::Error(error)) => Err(error),
            Err(Ended::Broken(error)) => Err(self.reap(&error).await),
            Err(Ended::Late) => Err(self.kill_late(deadline)),
        }
    }

    /// Address space that it has besides what it had when it became ready, in bytes: free memory that its allocator keeps, and
    /// which its next request uses besides its own memory. 0 where the system does not say.
    pub(super) fn retained_memory(&self) -> u64 {
        resource_limits::address_space(self.pid).unwrap_or_default().saturating_sub(self.first_address_space)
    }

    /// Kills the child at its deadline.
    fn kill_late(&mut self, deadline: Duration) -> SandboxError {
        let cpu_time = resource_limits::cpu_time(self.pid).unwrap_or_default().saturating_sub(self.cpu_time_before);
        _ = self.process.start_kill();
        SandboxError::TimedOut { deadline, cpu_time }
    }

    /// Waits for the exit of a child with a broken connection, kills it if it does not exit, and tells its exit status.
    async fn reap(&mut self, error: &ProtocolError) -> SandboxError {
        let is_disconnected = matches!(error, ProtocolError::Io(_));
        let exit = if is_disconnected { timeout(EXIT_TIMEOUT, self.process.wait()).await.ok() } else { None };
        if exit.is_none() {
            _ = self.process.start_kill();
        }
        let stderr = self.read_stderr().await;
        match exit {
            Some(Ok(status)) if status.signal() == Some(SIGXCPU) => {
                SandboxError::TimedOut { deadline: Duration::ZERO, cpu_time: Duration::MAX }
            }
            Some(Ok(status)) => exit_error(status, &stderr),
            Some(Err(error)) => SandboxError::Crashed { cause: CrashCause::Machine, evidence: error.to_string() },
            None => {
                let cause = if is_disconnected { CrashCause::Machine } else { CrashCause::Picture };
                let evidence = format!("{error}; it was killed {stderr}").trim_end().to_owned();
                SandboxError::Crashed { cause, evidence }
            }
        }
    }

    /// The first 2000 bytes that the child wrote to stderr, in one line.
    async fn read_stderr(&mut self) -> String {
        let mut bytes = Vec::new();
        if let Some(stderr) = &mut self.process.stderr {
            _ = timeout(EXIT_TIMEOUT, stderr.take(2000).read_to_end(&mut bytes)).await;
        }
        let text = String::from_utf8_lossy(&bytes).replace(|c: char| c.is_control(), " ");
        text.trim().to_owned()
    }
}

/// Sends a request with its source, and the file of the overlay if its recipe has one.
async fn send_request(socket: &mut UnixStream, request: &RenderRequest, files: Files<'_>) -> Result<(), ProtocolError> {
    protocol::send(socket, request, files.source).await?;
    if request.recipe.overlay().is_some() {
        protocol::send(socket, &(), files.overlay.unwrap_or_default()).await?;
    }
    Ok(())
}

/// A child that died before it had a picture.
fn not_ready(evidence: String) -> SandboxError {
    SandboxError::Crashed { cause: CrashCause::Machine, evidence }
}

fn exit_error(status: ExitStatus, stderr: &str) -> SandboxError {
    let evidence = format!("{status} {stderr}").trim_end().to_owned();
    // The message of Rust's allocator before it aborts.
    if stderr.contains("memory allocation of") {
        SandboxError::OutOfMemory { evidence }
    } else {
        SandboxError::Crashed { cause: CrashCause::of(status), evidence }
    }
}
