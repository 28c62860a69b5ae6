//! A service of the stack: starts the process, prints its output, restarts it when it fails, and stops it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::bound_child::{self, BoundChild};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::terminal::Terminal;

/// How long running work may continue after Ctrl-C, in seconds, unless `DRAIN_SECONDS` is set. Shorter than the default
/// of the service, because a person waits; interrupted jobs run again at the next start.
const DRAIN: u64 = 5;

/// Variables that are not passed on: in the caller's environment they belong to another bucket.
const NOT_INHERITED: [&str; 3] = ["AWS_SESSION_TOKEN", "SIGNING_ENDPOINT_URL", "PUBLIC_BUCKET_URL"];

/// Controls all services.
#[derive(Default)]
pub(super) struct ServiceControl {
    ready: AtomicBool,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl ServiceControl {
    /// The stack is ready. From now on a service that ends is restarted.
    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Stops the services after their running work.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Kills the services.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }
}

/// The api or the worker.
pub(super) struct Service {
    name: &'static str,
    program: PathBuf,
}

impl Service {
    /// Finds `darkroom-<name>` in the directory of this program.
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

    /// Makes an API key and writes it to a file, unless the file has a valid one; returns the key. For the api only.
    pub(super) async fn ensure_key(&self, settings: &[(&'static str, String)], file: &Path) -> Result<String> {
        let mut command = Command::new(&self.program);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command.args(["keys", "ensure"]).arg(file).envs(settings.iter().map(|(name, value)| (name, value)));
        let output = command.kill_on_drop(true).output().await;
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        if !output.status.success() {
            bail!("cannot make an API key: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let key = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(key.trim().to_owned())
    }

    /// Runs the service until it is stopped.
    ///
    /// A service that ends by itself is restarted, as a process supervisor does. Before the stack is ready it is an
    /// error instead, because the service would most likely fail again.
    pub(super) async fn keep_running(
        self,
        settings: Vec<(&'static str, String)>,
        terminal: Terminal,
        control: Arc<ServiceControl>,
    ) -> Result<()> {
        loop {
            let mut output = JoinSet::new();
            let mut child = self.start(&settings, &terminal, &mut output)?;
            let status = tokio::select! {
                status = child.process.wait() => status?,
                () = control.stop.cancelled() => return self.end(child, output, &terminal, &control).await,
            };
            finish_output(output).await;
            if !control.ready.load(Ordering::Relaxed) {
                bail!("the {} does not start ({status}); its output is above", self.name);
            }
            terminal.print("darkroom", &format!("the {} has ended ({status}); it is started again in 1 s", self.name));
            tokio::select! {
                () = sleep(Duration::from_secs(1)) => {}
                () = control.stop.cancelled() => return Ok(()),
            }
        }
    }

    fn start(
        &self,
        settings: &[(&'static str, String)],
        terminal: &Terminal,
        output: &mut JoinSet<()>,
    ) -> Result<BoundChild> {
        let spawned = bound_child::spawn(&self.program, "TERM", |command| {
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
            terminal.print("darkroom", &format!("the {} is process {id}", self.name));
        }
        if let (Some(stdout), Some(stderr)) = (child.process.stdout.take(), child.process.stderr.take()) {
            output.spawn(print_lines(stdout, self.name, terminal.clone()));
            output.spawn(print_lines(stderr, self.name, terminal.clone()));
        }
        Ok(child)
    }

    async fn end(
        self,
        mut child: BoundChild,
        output: JoinSet<()>,
        terminal: &Terminal,
        control: &ServiceControl,
    ) -> Result<()> {
        let drain = env::var("DRAIN_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(DRAIN);
        child.signal(Signal::TERM);
        let gone: Option<ExitStatus> = tokio::select! {
            ended = timeout(Duration::from_secs(drain.saturating_add(3)), child.process.wait()) => ended.ok().transpose()?,
            () = control.kill.cancelled() => None,
        };
        if gone.is_none() {
            terminal.print("darkroom", &format!("the {} is killed", self.name));
            child.signal(Signal::KILL);
            child.process.wait().await?;
        }
        finish_output(output).await;
        Ok(())
    }
}

async fn print_lines(from: impl AsyncRead + Unpin, name: &'static str, terminal: Terminal) {
    let mut lines = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        terminal.print(name, &String::from_utf8_lossy(&line));
    }
}

/// Waits until the output of a process is printed, at most 1 s: a grandchild may keep the pipe open.
async fn finish_output(output: JoinSet<()>) {
    let _ = timeout(Duration::from_secs(1), output.join_all()).await;
}
