//! A child process of the stack: started, listened to, started again when it fails, and stopped.

use std::{
    env,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::guard::{self, Guarded};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::terminal::Terminal;

/// How long running work may go on after Ctrl-C, in seconds, unless `DRAIN_SECONDS` says otherwise: nobody waits for half
/// a minute in a terminal, and what is cut off runs again at the next start.
const DRAIN: u64 = 5;

/// Settings that the stack makes itself. Where the surroundings have others, they belong to another bucket.
const NOT_INHERITED: [&str; 3] = ["AWS_SESSION_TOKEN", "SIGNING_ENDPOINT_URL", "PUBLIC_BUCKET_URL"];

/// What all services are told.
#[derive(Default)]
pub(super) struct Orders {
    started: AtomicBool,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Orders {
    /// The stack has been ready: from now on a service that ends is started again.
    pub(super) fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// Finish what runs, and end.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// End now.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }
}

/// One of our binaries.
pub(super) struct Service {
    name: &'static str,
    program: PathBuf,
}

impl Service {
    /// Looks for `darkroom-<name>` beside this program.
    pub(super) fn find(name: &'static str) -> Result<Self> {
        let file = format!("darkroom-{name}");
        let program = env::current_exe().context("cannot find this program's own file")?.with_file_name(&file);
        if !program.is_file() {
            bail!(
                "{} is missing: build everything with `cargo build --workspace`, or use `make run`",
                program.display()
            );
        }
        Ok(Self { name, program })
    }

    /// Runs it until it is told to stop.
    ///
    /// One that ends by itself is started again, as any supervisor would do: jobs and uploads outlive their processes,
    /// and here one can watch it. Before the stack was ever ready that would help nobody, so then it is an error.
    pub(super) async fn keep_running(
        self,
        settings: Vec<(&'static str, String)>,
        terminal: Terminal,
        orders: Arc<Orders>,
    ) -> Result<()> {
        loop {
            let mut output = JoinSet::new();
            let mut child = self.start(&settings, &terminal, &mut output)?;
            let status = tokio::select! {
                status = child.process.wait() => status?,
                () = orders.stop.cancelled() => return self.end(child, output, &terminal, &orders).await,
            };
            heard(output).await;
            if !orders.started.load(Ordering::Relaxed) {
                bail!("the {} does not start ({status}); its last words are above", self.name);
            }
            terminal.say("darkroom", &format!("the {} has ended ({status}); it is started again in 1 s", self.name));
            tokio::select! {
                () = sleep(Duration::from_secs(1)) => {}
                () = orders.stop.cancelled() => return Ok(()),
            }
        }
    }

    fn start(
        &self,
        settings: &[(&'static str, String)],
        terminal: &Terminal,
        output: &mut JoinSet<()>,
    ) -> Result<Guarded> {
        let spawned = guard::spawn(&self.program, "TERM", |command| {
            for name in NOT_INHERITED {
                command.env_remove(name);
            }
            if env::var_os("DRAIN_SECONDS").is_none() {
                command.env("DRAIN_SECONDS", DRAIN.to_string());
            }
            if !terminal.colour() {
                command.env("NO_COLOR", "1");
            }
            command.envs(settings.iter().map(|(name, value)| (name, value)));
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        let mut child = spawned.with_context(|| format!("cannot run {}", self.program.display()))?;
        if let Some(id) = child.process.id() {
            terminal.say("darkroom", &format!("the {} is process {id}", self.name));
        }
        if let (Some(stdout), Some(stderr)) = (child.process.stdout.take(), child.process.stderr.take()) {
            output.spawn(pass_on(stdout, self.name, terminal.clone()));
            output.spawn(pass_on(stderr, self.name, terminal.clone()));
        }
        Ok(child)
    }

    async fn end(self, mut child: Guarded, output: JoinSet<()>, terminal: &Terminal, orders: &Orders) -> Result<()> {
        let drain = env::var("DRAIN_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(DRAIN);
        child.signal(Signal::TERM);
        let gone: Option<ExitStatus> = tokio::select! {
            ended = timeout(Duration::from_secs(drain.saturating_add(3)), child.process.wait()) => ended.ok().transpose()?,
            () = orders.kill.cancelled() => None,
        };
        if gone.is_none() {
            terminal.say("darkroom", &format!("the {} is killed", self.name));
            child.signal(Signal::KILL);
            child.process.wait().await?;
        }
        heard(output).await;
        Ok(())
    }
}

async fn pass_on(from: impl AsyncRead + Unpin, name: &'static str, terminal: Terminal) {
    let mut lines = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        terminal.say(name, &String::from_utf8_lossy(&line));
    }
}

/// Waits until all that a process has said is shown; a grandchild may hold its output open.
async fn heard(output: JoinSet<()>) {
    let _ = timeout(Duration::from_secs(1), output.join_all()).await;
}
