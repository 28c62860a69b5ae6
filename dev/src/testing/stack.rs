//! An api and workers as real processes, with their own database and bucket.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use reqwest::{StatusCode, multipart};
use serde_json::Value;
use tokio::{process::Command, time::Instant};

use super::{Bucket, bucket, database, http};
use crate::{
    bound_child::{self, BoundChild},
    port,
};

/// Maximum wait for a condition. No test asserts that something takes less time.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Name of the directory of uploads, or their prefix in the bucket.
const STAGING: &str = "staging";

/// Options of a stack.
#[derive(Debug, Default)]
pub struct Setup {
    /// Number of workers.
    pub workers: usize,
    /// The URL of an empty database; `None`: a new one on the test run's cluster.
    pub database: Option<String>,
    /// Where uploads wait; `None`: a directory beside the bucket.
    pub staging: Option<PathBuf>,
    /// Whether uploads wait in the bucket of the renditions instead.
    pub staging_in_bucket: bool,
    /// The api's limit of open files (`RLIMIT_NOFILE`).
    pub api_open_files: Option<u32>,
    /// Settings of the api and the workers, in place of the defaults of tests.
    pub settings: Vec<(&'static str, String)>,
}

/// An api and workers with their database and bucket. Dropping it stops the processes and removes the data.
#[derive(Debug)]
pub struct Stack {
    /// URL of the api.
    pub url: String,
    /// URL of the database.
    pub database: String,
    /// A client for the api.
    pub http: reqwest::Client,
    /// The directory where uploads wait.
    pub staging: PathBuf,
    /// The bucket of the renditions.
    pub bucket: Bucket,
    env: Vec<(&'static str, String)>,
    /// The api.
    pub api: BoundChild,
    /// The workers.
    pub workers: Vec<BoundChild>,
}

/// The answer to an upload.
#[derive(Debug)]
pub enum UploadAnswer {
    /// `202`: the image in the answer.
    Accepted(Value),
    /// Another status, with the problem document.
    Refused(StatusCode, Value),
    /// The connection broke before the answer.
    Broken,
}

impl Stack {
    /// Starts an api and this number of workers, and waits until the api is ready.
    pub async fn start(workers: usize) -> Self {
        Self::start_with(Setup { workers, ..Setup::default() }).await
    }

    /// Starts a stack with these options, and waits until the api is ready.
    pub async fn start_with(setup: Setup) -> Self {
        let bucket = bucket().await;
        let bind = format!("127.0.0.1:{}", port::free().unwrap());
        let (staging, staging_url) = if setup.staging_in_bucket {
            (bucket.dir.path().join(&bucket.name).join(STAGING), format!("s3://{}/{STAGING}", bucket.name))
        } else {
            let staging = setup.staging.unwrap_or_else(|| bucket.dir.path().join(STAGING));
            let url = format!("file://{}", staging.display());
            (staging, url)
        };
        let database = match setup.database {
            Some(database) => database,
            None => database().await,
        };
        let mut env = Vec::from(bucket.env());
        env.extend([
            ("DATABASE_URL", database.clone()),
            ("STAGING_URL", staging_url),
            ("BIND", bind.clone()),
            // These tests are about other things than keys.
            ("AUTH", "off".to_owned()),
            ("WORKER_CONCURRENCY", "2".to_owned()),
            ("LOG", "warn".to_owned()),
        ]);
        env.extend(setup.settings);
        let api = match setup.api_open_files {
            None => spawn("darkroom-api", &[], &env),
            Some(open_files) => spawn_with_open_files("darkroom-api", open_files, &env),
        };
        let mut stack = Self {
            url: format!("http://{bind}"),
            database,
            http: http(),
            staging,
            bucket,
            env,
            api,
            workers: Vec::new(),
        };
        stack.wait_for_ready_api().await;
        for _ in 0..setup.workers {
            stack.start_worker();
        }
        stack
    }

    /// Starts another worker.
    pub fn start_worker(&mut self) {
        self.workers.push(self.new_worker(&[]));
    }

    /// Starts a worker that the caller keeps, with these additional environment variables.
    #[must_use]
    pub fn new_worker(&self, more: &[(&'static str, String)]) -> BoundChild {
        spawn("darkroom-worker", &[], &[self.env.as_slice(), more].concat())
    }

    /// Starts the api again after it has ended.
    pub async fn restart_api(&mut self) {
        self.api = spawn("darkroom-api", &[], &self.env);
        self.wait_for_ready_api().await;
    }

    /// Runs a command of `darkroom-worker` and returns its exit status.
    pub async fn worker_command(&self, arguments: &[&str]) -> ExitStatus {
        spawn("darkroom-worker", arguments, &self.env).process.wait().await.unwrap()
    }

    /// Runs a command of `darkroom-api` with these additional environment variables. Returns whether it succeeded, and
    /// its stdout.
    pub async fn api_command(&self, arguments: &[&str], more: &[(&'static str, String)]) -> (bool, String) {
        let mut command = Command::new(binary("darkroom-api"));
        command.args(arguments).env_clear().envs(self.env.iter().cloned()).envs(more.iter().cloned());
        let output = command.output().await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command of `darkroom-worker` that must fail, with these additional environment variables. Returns its
    /// stderr.
    pub async fn failing_worker_command(&self, arguments: &[&str], more: &[(&'static str, String)]) -> String {
        let mut command = Command::new(binary("darkroom-worker"));
        command.args(arguments).env_clear().envs(self.env.iter().cloned()).envs(more.iter().cloned());
        let output = command.output().await.unwrap();
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs `darkroom-worker queue --json …` and returns its output.
    pub async fn queue_command(&self, arguments: &[&str]) -> Value {
        let arguments = [&["queue", "--json"], arguments].concat();
        let mut command = Command::new(binary("darkroom-worker"));
        command.args(&arguments).env_clear().envs(self.env.iter().cloned());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a script of bash with the environment of the stack, its binaries and these directories in `PATH`, and these
    /// additional environment variables; it must succeed.
    pub async fn shell(&self, script: &str, path: &[&Path], more: &[(&'static str, String)]) {
        let binaries = binary("darkroom-api").parent().unwrap().to_path_buf();
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = path.iter().map(|dir| dir.to_path_buf()).chain([binaries]).chain(std::env::split_paths(&inherited));
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).env_clear().envs(self.env.iter().cloned());
        command.env("PATH", std::env::join_paths(path).unwrap()).envs(more.iter().cloned());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    async fn wait_for_ready_api(&self) {
        eventually("the api is ready", async || {
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Uploads a picture with these form fields.
    pub async fn upload_once(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> UploadAnswer {
        let mut form = multipart::Form::new().part("file", multipart::Part::bytes(picture).file_name("picture"));
        for (name, value) in fields {
            form = form.text(*name, (*value).to_owned());
        }
        let answer = self.http.post(format!("{}/v1/images", self.url)).multipart(form).send().await;
        let Ok(answer) = answer else { return UploadAnswer::Broken };
        let status = answer.status();
        match answer.json().await {
            Ok(image) if status == StatusCode::ACCEPTED => UploadAnswer::Accepted(image),
            Ok(problem) => UploadAnswer::Refused(status, problem),
            Err(_) => UploadAnswer::Broken,
        }
    }

    /// Uploads a picture that must be accepted; `None` if the connection broke before the answer.
    pub async fn try_upload(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> Option<Value> {
        match self.upload_once(picture, fields).await {
            UploadAnswer::Accepted(image) => Some(image),
            UploadAnswer::Broken => None,
            UploadAnswer::Refused(status, problem) => panic!("{status}: {problem}"),
        }
    }

    /// Uploads a picture, and returns its id.
    pub async fn upload(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> String {
        id(&self.try_upload(picture, fields).await.expect("an answer"))
    }

    /// An image by the api; `None`: there is none.
    pub async fn image(&self, id: &str) -> Option<Value> {
        let answer = self.http.get(format!("{}/v1/images/{id}", self.url)).send().await.unwrap();
        (answer.status() != StatusCode::NOT_FOUND).then_some(answer.json().await.unwrap())
    }

    /// Waits until an image has this status.
    pub async fn wait_for_status(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), async || {
            let image = self.image(id).await?;
            assert!(image["status"] == status || !is_finished(&image), "{id} must become {status}: {image}");
            (image["status"] == status).then_some(image)
        })
        .await
    }

    /// All images the api lists.
    pub async fn list(&self) -> Vec<Value> {
        let (mut images, mut url) = (Vec::new(), format!("{}/v1/images?limit=100", self.url));
        loop {
            let page: Value = self.http.get(&url).send().await.unwrap().json().await.unwrap();
            images.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { return images };
            url = format!("{}/v1/images?limit=100&cursor={cursor}", self.url);
        }
    }

    /// Fetches a rendition by its name through the redirect of the api. Returns its content type and bytes.
    pub async fn fetch(&self, id: &str, name: &str) -> (String, Vec<u8>) {
        let url = format!("{}/v1/images/{id}/renditions/{name}", self.url);
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.bytes().await.unwrap().to_vec())
    }

    /// Files in staging, including drafts.
    pub fn staged(&self) -> Vec<PathBuf> {
        // s3s-fs keeps metadata in hidden files beside the objects.
        files(&self.staging).into_iter().filter(|path| !is_hidden(path)).collect()
    }

    /// Objects in the bucket.
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut objects = files(&self.bucket.dir.path().join(&self.bucket.name));
        objects.retain(|path| !is_hidden(path) && !path.starts_with(&self.staging));
        objects
    }

    /// Waits until staging is empty. The staged file is removed after the commit that makes an image ready.
    pub async fn wait_for_empty_staging(&self) {
        eventually("staging is empty", async || self.staged().is_empty().then_some(())).await;
    }
}

/// The id of an image in an answer of the api.
pub fn id(image: &Value) -> String {
    image["id"].as_str().expect("an id").to_owned()
}

fn is_finished(image: &Value) -> bool {
    image["status"] == "ready" || image["status"] == "failed"
}

/// Polls until `condition` returns a value, at most 2 minutes.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn files(below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(below) else { return Vec::new() };
    // A file may be removed after its directory was listed.
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A binary of the workspace, which `cargo test --workspace` builds before it runs a test.
fn binary(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join(name)
}

/// A process that may open only so many files. The shell replaces itself by the program.
fn spawn_with_open_files(name: &str, open_files: u32, env: &[(&'static str, String)]) -> BoundChild {
    let path = binary(name);
    let script = format!("ulimit -n {open_files} && exec \"$0\"");
    let spawned = bound_child::spawn("sh", "KILL", |command| {
        command.args(["-c", &script]).arg(&path).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(env.iter().cloned()).stdout(Stdio::null());
    });
    spawned.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn spawn(name: &str, arguments: &[&str], env: &[(&'static str, String)]) -> BoundChild {
    let path = binary(name);
    let spawned = bound_child::spawn(&path, "KILL", |command| {
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(env.iter().cloned()).stdout(Stdio::null());
    });
    spawned.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
