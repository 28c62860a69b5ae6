//! `darkroom-dev run` as a command. `cargo test --workspace` builds the api and the worker in the same directory.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{ExitStatus, Output, Stdio},
};

use darkroom_dev::{
    bound_child::{self, BoundChild},
    port,
    testing::stack::eventually,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{ChildStdout, Command},
};

const DARKROOM_DEV: &str = env!("CARGO_BIN_EXE_darkroom-dev");

/// A data directory, and the ports of its stack.
struct StackDir {
    path: TempDir,
    api: u16,
    s3: u16,
}

impl StackDir {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        // For root, Postgres runs as another account, which must be able to enter.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).expect("our own directory");
        Self { path: dir, api: port::free().expect("a port"), s3: port::free().expect("a port") }
    }

    fn env(&self, command: &mut Command) {
        command.env("DATA_DIR", self.path.path().join("data"));
        command.env("PORT", self.api.to_string()).env("S3_PORT", self.s3.to_string()).env_remove("DATABASE_URL");
    }

    /// Runs a subcommand to its end.
    async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(DARKROOM_DEV);
        self.env(&mut command);
        command.args(arguments).output().await.expect("darkroom-dev")
    }

    /// Runs a subcommand that must fail, and returns its error, one line.
    async fn failure(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    /// Starts a stack and waits until it is ready.
    async fn run(&self) -> Run {
        let mut run = self.start();
        run.wait_for_line("ready after").await;
        run
    }

    fn start(&self) -> Run {
        let spawned = bound_child::spawn(DARKROOM_DEV, "KILL", |command| {
            self.env(command);
            command.arg("run").stdout(Stdio::piped());
        });
        let mut process = spawned.expect("darkroom-dev");
        let output = process.process.stdout.take().expect("piped");
        Run { process, lines: BufReader::new(output).lines() }
    }

    async fn api_answers(&self) -> bool {
        let answer = darkroom_dev::http::client().get(format!("http://127.0.0.1:{}/readyz", self.api)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The API key that the stack has made.
    fn key(&self) -> String {
        let file = self.path.path().join("data/api-key");
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::read_to_string(file).expect("text").trim().to_owned()
    }

    async fn env_of_the_stack(&self) -> String {
        let output = self.output(&["env"]).await;
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    }
}

struct Run {
    process: BoundChild,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Run {
    /// Reads until a line contains this text, and returns that line.
    async fn wait_for_line(&mut self, wanted: &str) -> String {
        let mut output = String::new();
        while let Some(line) = self.lines.next_line().await.expect("text") {
            if line.contains(wanted) {
                return line;
            }
            output.push_str(&line);
            output.push('\n');
        }
        panic!("no line contains {wanted:?}:\n{output}");
    }

    async fn end(mut self, signal: Signal) -> ExitStatus {
        self.process.signal(signal);
        while self.lines.next_line().await.is_ok_and(|line| line.is_some()) {}
        self.process.process.wait().await.expect("an end")
    }
}

#[tokio::test]
async fn a_stack_starts_prints_its_addresses_and_stops_cleanly() {
    let dir = StackDir::new();
    let run = dir.run().await;
    assert!(dir.api_answers().await);
    let env = dir.env_of_the_stack().await;
    for line in ["export DATABASE_URL='postgres://", "export BUCKET_URL='s3://", "export STAGING_URL='file:///"] {
        assert!(env.contains(line), "{line} in {env}");
    }
    assert_eq!(run.end(Signal::INT).await.code(), Some(0));
    assert!([dir.api, dir.s3].into_iter().all(port::is_free));
    assert!(dir.failure(&["env"]).await.contains("nothing runs on"));
    assert!(dir.failure(&["demo"]).await.contains("nothing runs on"));
}

#[tokio::test]
async fn a_second_run_has_the_data_and_the_credentials_of_the_first() {
    let dir = StackDir::new();
    let secrets = |env: String| {
        let lines = env.lines().filter(|line| line.contains("SECRET") || line.contains("DARKROOM_KEY='dk_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let run = dir.run().await;
    let demo = dir.output(&["demo"]).await;
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let first = secrets(dir.env_of_the_stack().await);
    assert_eq!(first.len(), 2);
    assert_eq!(run.end(Signal::TERM).await.code(), Some(0));

    let run = dir.run().await;
    let url = format!("http://127.0.0.1:{}/v1/images?status=ready", dir.api);
    let http = darkroom_dev::http::client();
    assert_eq!(http.get(&url).send().await.unwrap().status(), 401, "a key is needed");
    let answer = http.get(&url).bearer_auth(dir.key()).send().await.unwrap();
    let listed: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(secrets(dir.env_of_the_stack().await), first);
    run.end(Signal::INT).await;
}

#[tokio::test]
async fn a_killed_worker_is_restarted() {
    let dir = StackDir::new();
    let mut run = dir.start();
    let line = run.wait_for_line("the worker is process").await;
    run.wait_for_line("ready after").await;
    let worker = line.rsplit(' ').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    run.wait_for_line("the worker has ended (signal: 9 (SIGKILL)); it is started again").await;
    run.wait_for_line("worker   | ").await;
    assert_eq!(run.end(Signal::INT).await.code(), Some(0));
}

#[tokio::test]
async fn no_process_survives_a_killed_stack_and_the_next_one_starts() {
    let dir = StackDir::new();
    assert_eq!(dir.run().await.end(Signal::KILL).await.code(), None);
    eventually("its api and its S3 server end with it", async || {
        [dir.api, dir.s3].into_iter().all(port::is_free).then_some(())
    })
    .await;
    let run = dir.run().await;
    assert_eq!(run.end(Signal::INT).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_stack_on_one_directory_is_refused() {
    let dir = StackDir::new();
    let run = dir.run().await;
    assert!(dir.failure(&["run"]).await.contains("another `make run` uses"));
    run.end(Signal::INT).await;
}

#[tokio::test]
async fn a_port_in_use_is_reported_in_one_line() {
    let dir = StackDir::new();
    let other = TcpListener::bind(("127.0.0.1", dir.api)).unwrap();
    let error = dir.failure(&["run"]).await;
    assert!(error.contains(&format!("port {} is in use", dir.api)) && error.contains("PORT="), "{error}");
    drop(other);
    let _other = TcpListener::bind(("127.0.0.1", dir.s3)).unwrap();
    let output = dir.output(&["run"]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("S3_PORT") && error.contains(&dir.s3.to_string()), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_reported_in_one_line() {
    let mut dir = StackDir::new();
    let file = dir.path.path().join("data");
    std::fs::write(&file, "in the way").unwrap();
    let error = dir.failure(&["run"]).await;
    assert!(error.contains("choose another directory with DATA_DIR"), "{error}");
    dir.api = 0;
    std::fs::remove_file(&file).unwrap();
    assert!(dir.failure(&["run"]).await.contains("PORT must be a port"));
}

#[tokio::test]
async fn the_exit_code_of_a_command_with_a_postgres_is_returned() {
    let dir = StackDir::new();
    let script = "echo $DARKROOM_TEST_DATABASE_URL; exit 7";
    let output = dir.output(&["postgres", "--", "sh", "-c", script]).await;
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout.starts_with(b"postgres://darkroom:"));
    assert!(dir.failure(&["postgres", "--", "/no/such/program"]).await.contains("cannot run /no/such/program"));
}
