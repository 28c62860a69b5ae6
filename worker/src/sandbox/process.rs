//! One render child, as the worker sees it: started, ordered, timed, buried.

use std::{
    collections::HashSet,
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use darkroom_model::{Failure, ImageAnalysis, RenditionFormat};
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{self, Command},
    sync::mpsc,
    time::timeout,
};

use darkroom_pipeline::{Files, Rendered};

use super::{
    RenderFault,
    confinement::Confinement,
    grant::{self, Grant},
    protocol::{self, Frame, Order, ProtocolError, Reply},
};

/// How long a child may take to start.
const START: Duration = Duration::from_secs(10);
/// How long a child that has closed its socket may take to end by itself, so that it is known what it died of.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// What a child's allocator may keep free, in bytes.
const KEPT: &str = "67108864";
/// More renditions than any recipe makes.
const MAX_RENDITIONS: usize = 64;
/// No rendition is wider or higher, in pixels.
const MAX_SIDE: u32 = 65_535;
/// The signal at the end of the processor time, on every system.
const SIGXCPU: i32 = 24;

/// What is run as a child.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// What makes it a child.
    pub arguments: Vec<String>,
}

impl Program {
    /// This process's own executable, even where it has been replaced on disk: the two must speak the same protocol.
    ///
    /// # Errors
    /// When the system does not say which it is.
    pub fn own() -> io::Result<Self> {
        let path = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        Ok(Self { path, arguments: vec!["render-child".to_owned()] })
    }
}

/// A child that waits for an order. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    pid: u32,
    socket: UnixStream,
    /// Orders it has had.
    pub(super) orders: u32,
    /// Processor time it had used when it got the last.
    before: Duration,
}

impl Child {
    /// Starts a child; blocks for the time of a fork. The child dies with the calling thread. To be called where tokio's
    /// runtime is entered.
    pub(super) fn spawn(program: &Program) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let process = Command::new(&program.path)
            .arg0("darkroom-render")
            .args(&program.arguments)
            // The worker's environment has its secrets.
            .env_clear()
            // An arena more for each thread would be 64 MB more of address space.
            .env("MALLOC_ARENA_MAX", "1")
            // glibc gives large buffers back at once, and the kernel clears the next: a seventh of the time of a photograph.
            // So much is kept for the next picture.
            .env("MALLOC_MMAP_THRESHOLD_", KEPT)
            .env("MALLOC_TRIM_THRESHOLD_", KEPT)
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal is for the worker, which lets its children finish.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = process.id().ok_or_else(|| io::Error::other("it has no process id"))?;
        Ok(Self { process, pid, socket: UnixStream::from_std(ours)?, orders: 0, before: Duration::ZERO })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it is confined.
    pub(super) async fn ready(&mut self) -> Result<Confinement, RenderFault> {
        match timeout(START, protocol::receive(&mut self.socket, 0)).await {
            Ok(Ok(Frame { head: Reply::Ready(confinement), .. })) => Ok(confinement),
            Ok(Ok(_)) => Err(RenderFault::Crashed { evidence: "its first word is not that it is ready".to_owned() }),
            Ok(Err(error)) => Err(self.bury(&error).await),
            Err(_) => Err(RenderFault::Crashed { evidence: format!("it was not ready within {START:?}") }),
        }
    }

    /// Whether it has died while it waited.
    pub(super) fn is_dead(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Renders one picture. After an error other than [`RenderFault::Refused`] and [`RenderFault::Failed`] the child is
    /// of no more use.
    ///
    /// The deadline covers all that the child does; time in which it waits for its renditions to be taken is not its
    /// own, and does not count.
    pub(super) async fn render(
        &mut self,
        order: &Order,
        files: Files<'_>,
        grant: Grant,
        deadline: Duration,
        renditions: &mpsc::Sender<Rendered>,
    ) -> Result<ImageAnalysis, RenderFault> {
        self.orders += 1;
        self.before = grant::processor_time(self.pid).unwrap_or_default();
        if let Err(error) = grant::apply(self.pid, grant) {
            return Err(self.bury(&ProtocolError::Io(error)).await);
        }
        let mut clock = Clock { left: deadline };
        let mut names = HashSet::new();
        match clock.run(send(&mut self.socket, order, files)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(self.bury(&error).await),
            None => return Err(self.late(deadline)),
        }
        loop {
            // A file cannot be longer than the memory that it was made in.
            match clock.run(protocol::receive(&mut self.socket, grant.memory)).await {
                Some(Ok(Frame { head: Reply::Rendition { name, format, width, height }, body: bytes })) => {
                    let rendered = Rendered { name, format, width, height, bytes };
                    if let Some(lie) = implausible(&rendered, &mut names) {
                        return Err(RenderFault::Crashed { evidence: format!("it handed over {lie}") });
                    }
                    renditions.send(rendered).await.map_err(|_| RenderFault::NotTaken)?;
                }
                Some(Ok(Frame { head: Reply::Done(facts), .. })) => return Ok(facts),
                Some(Ok(Frame { head: Reply::Refused { failure, cause }, .. })) => {
                    return Err(RenderFault::Refused { failure: clean(failure), cause });
                }
                Some(Ok(Frame { head: Reply::Failed { cause }, .. })) => return Err(RenderFault::Failed { cause }),
                Some(Ok(Frame { head: Reply::Ready(_), .. })) => {
                    return Err(RenderFault::Crashed { evidence: "it spoke out of turn".to_owned() });
                }
                Some(Err(error)) => return Err(self.bury(&error).await),
                None => return Err(self.late(deadline)),
            }
        }
    }

    fn late(&mut self, deadline: Duration) -> RenderFault {
        let processor = grant::processor_time(self.pid).unwrap_or_default().saturating_sub(self.before);
        _ = self.process.start_kill();
        RenderFault::TimedOut { deadline, processor }
    }

    /// Learns what it died of. Kills it, if it has not died.
    async fn bury(&mut self, error: &ProtocolError) -> RenderFault {
        let ended = matches!(error, ProtocolError::Io(_));
        let own_end = if ended { timeout(LAST_BREATH, self.process.wait()).await.ok() } else { None };
        if own_end.is_none() {
            _ = self.process.start_kill();
        }
        let words = self.last_words().await;
        match own_end {
            Some(Ok(status)) if status.signal() == Some(SIGXCPU) => {
                RenderFault::TimedOut { deadline: Duration::ZERO, processor: Duration::MAX }
            }
            Some(Ok(status)) => judge(status, &words),
            Some(Err(error)) => RenderFault::Crashed { evidence: error.to_string() },
            None => RenderFault::Crashed { evidence: format!("{error}; it was killed {words}").trim_end().to_owned() },
        }
    }

    /// What it has written to stderr, in one line.
    async fn last_words(&mut self) -> String {
        let mut words = Vec::new();
        if let Some(stderr) = &mut self.process.stderr {
            _ = timeout(LAST_BREATH, stderr.take(2000).read_to_end(&mut words)).await;
        }
        let words = String::from_utf8_lossy(&words).replace(|c: char| c.is_control(), " ");
        words.trim().to_owned()
    }
}

/// The order and what it is about; a recipe with an overlay has a file of it.
async fn send(socket: &mut UnixStream, order: &Order, files: Files<'_>) -> Result<(), ProtocolError> {
    protocol::send(socket, order, files.source).await?;
    if order.recipe.overlay().is_some() {
        protocol::send(socket, &(), files.overlay.unwrap_or_default()).await?;
    }
    Ok(())
}

fn judge(status: ExitStatus, words: &str) -> RenderFault {
    let evidence = format!("{status} {words}").trim_end().to_owned();
    // As Rust's allocator says it before it aborts.
    if words.contains("memory allocation of") {
        RenderFault::OutOfMemory { evidence }
    } else {
        RenderFault::Crashed { evidence }
    }
}

/// The time that is left.
struct Clock {
    left: Duration,
}

impl Clock {
    /// `None`: the time is over.
    async fn run<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let start = Instant::now();
        let done = timeout(self.left, work).await.ok();
        self.left = self.left.saturating_sub(start.elapsed());
        done
    }
}

/// What cannot have come from the pipeline: names lead into object keys, and what is no picture would be served as one.
fn implausible(rendered: &Rendered, names: &mut HashSet<String>) -> Option<&'static str> {
    let stem = rendered.name.strip_suffix(rendered.format.as_str()).and_then(|name| name.strip_suffix('.'));
    let plain =
        |stem: &str| (1..=40).contains(&stem.len()) && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !stem.is_some_and(plain) {
        return Some("a rendition with a strange name");
    }
    if !(1..=MAX_SIDE).contains(&rendered.width) || !(1..=MAX_SIDE).contains(&rendered.height) {
        return Some("a rendition of impossible size");
    }
    if !begins_as(rendered.format, &rendered.bytes) {
        return Some("a rendition that is not of its format");
    }
    if names.len() == MAX_RENDITIONS || !names.insert(rendered.name.clone()) {
        return Some("too many renditions");
    }
    None
}

fn begins_as(format: RenditionFormat, bytes: &[u8]) -> bool {
    match format {
        RenditionFormat::Jpeg => bytes.starts_with(&[0xFF, 0xD8, 0xFF]),
        RenditionFormat::Png => bytes.starts_with(b"\x89PNG\r\n\x1A\n"),
        RenditionFormat::Webp => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        RenditionFormat::Avif => bytes.get(4..12) == Some(b"ftypavif"),
    }
}

/// A sentence, whatever the child says.
fn clean(mut failure: Failure) -> Failure {
    failure.detail = failure.detail.chars().filter(|c| !c.is_control()).take(300).collect();
    failure
}
