//! `darkroom-dev run` as people use it. The api and the worker are beside it, as `cargo test --workspace` builds them.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{ExitStatus, Output, Stdio},
};

use darkroom_dev::{
    guard::{self, Guarded},
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
struct Place {
    dir: TempDir,
    api: u16,
    s3: u16,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        // As root, Postgres is somebody else, who has to pass.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).expect("our own directory");
        Self { dir, api: port::free().expect("a port"), s3: port::free().expect("a port") }
    }

    fn env(&self, command: &mut Command) {
        command.env("DATA_DIR", self.dir.path().join("data"));
        command.env("PORT", self.api.to_string()).env("S3_PORT", self.s3.to_string()).env_remove("DATABASE_URL");
    }

    /// Runs a subcommand to its end.
    async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(DARKROOM_DEV);
        self.env(&mut command);
        command.args(arguments).output().await.expect("darkroom-dev")
    }

    /// The one line that a subcommand fails with.
    async fn failure(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        let told = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    }

    /// Starts a stack and waits until it says that it is ready.
    async fn run(&self) -> Run {
        let mut run = self.start();
        run.says("ready after").await;
        run
    }

    fn start(&self) -> Run {
        let spawned = guard::spawn(DARKROOM_DEV, "KILL", |command| {
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

    async fn env_of_the_stack(&self) -> String {
        let output = self.output(&["env"]).await;
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    }
}

struct Run {
    process: Guarded,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Run {
    /// Reads on until a line has this in it, and returns that line.
    async fn says(&mut self, wanted: &str) -> String {
        let mut heard = String::new();
        while let Some(line) = self.lines.next_line().await.expect("text") {
            if line.contains(wanted) {
                return line;
            }
            heard.push_str(&line);
            heard.push('\n');
        }
        panic!("it never said {wanted:?}, but:\n{heard}");
    }

    async fn end(mut self, signal: Signal) -> ExitStatus {
        self.process.signal(signal);
        while self.lines.next_line().await.is_ok_and(|line| line.is_some()) {}
        self.process.process.wait().await.expect("an end")
    }
}

#[tokio::test]
async fn a_stack_starts_says_where_it_is_and_stops_cleanly() {
    let place = Place::new();
    let run = place.run().await;
    assert!(place.api_answers().await);
    let env = place.env_of_the_stack().await;
    for line in ["export DATABASE_URL='postgres://", "export BUCKET_URL='s3://", "export STAGING_URL='file:///"] {
        assert!(env.contains(line), "{line} in {env}");
    }
    assert_eq!(run.end(Signal::INT).await.code(), Some(0));
    assert!([place.api, place.s3].into_iter().all(port::is_free));
    assert!(place.failure(&["env"]).await.contains("nothing runs on"));
    assert!(place.failure(&["demo"]).await.contains("nothing runs on"));
}

#[tokio::test]
async fn a_second_run_finds_the_data_and_the_credentials_of_the_first() {
    let place = Place::new();
    let secret = |env: String| env.lines().find(|line| line.contains("SECRET")).map(str::to_owned);
    let run = place.run().await;
    let demo = place.output(&["demo"]).await;
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let first = secret(place.env_of_the_stack().await);
    assert_eq!(run.end(Signal::TERM).await.code(), Some(0));

    let run = place.run().await;
    let url = format!("http://127.0.0.1:{}/v1/images?status=ready", place.api);
    let answer = darkroom_dev::http::client().get(url).send().await.unwrap();
    let listed: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(secret(place.env_of_the_stack().await), first);
    run.end(Signal::INT).await;
}

#[tokio::test]
async fn a_killed_worker_is_started_again() {
    let place = Place::new();
    let mut run = place.start();
    let told = run.says("the worker is process").await;
    run.says("ready after").await;
    let worker = told.rsplit(' ').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    run.says("the worker has ended (signal: 9 (SIGKILL)); it is started again").await;
    run.says("worker   | ").await;
    assert_eq!(run.end(Signal::INT).await.code(), Some(0));
}

#[tokio::test]
async fn nothing_survives_a_killed_stack_and_the_next_one_starts() {
    let place = Place::new();
    assert_eq!(place.run().await.end(Signal::KILL).await.code(), None);
    eventually("its api and its S3 server die with it", async || {
        [place.api, place.s3].into_iter().all(port::is_free).then_some(())
    })
    .await;
    let run = place.run().await;
    assert_eq!(run.end(Signal::INT).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_stack_on_one_directory_is_refused() {
    let place = Place::new();
    let run = place.run().await;
    assert!(place.failure(&["run"]).await.contains("another `make run` uses"));
    run.end(Signal::INT).await;
}

#[tokio::test]
async fn a_port_in_use_is_told_in_one_line() {
    let place = Place::new();
    let other = TcpListener::bind(("127.0.0.1", place.api)).unwrap();
    let told = place.failure(&["run"]).await;
    assert!(told.contains(&format!("port {} is in use", place.api)) && told.contains("PORT="), "{told}");
    drop(other);
    let _other = TcpListener::bind(("127.0.0.1", place.s3)).unwrap();
    let output = place.output(&["run"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("S3_PORT") && told.contains(&place.s3.to_string()), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_told_in_one_line() {
    let mut place = Place::new();
    let file = place.dir.path().join("data");
    std::fs::write(&file, "in the way").unwrap();
    let told = place.failure(&["run"]).await;
    assert!(told.contains("choose another directory with DATA_DIR"), "{told}");
    place.api = 0;
    std::fs::remove_file(&file).unwrap();
    assert!(place.failure(&["run"]).await.contains("PORT must be a port"));
}

#[tokio::test]
async fn a_command_with_a_postgres_ends_as_the_command_does() {
    let place = Place::new();
    let script = "echo $DARKROOM_TEST_DATABASE_URL; exit 7";
    let output = place.output(&["postgres", "--", "sh", "-c", script]).await;
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout.starts_with(b"postgres://darkroom:"));
    assert!(place.failure(&["postgres", "--", "/no/such/program"]).await.contains("cannot run /no/such/program"));
}
