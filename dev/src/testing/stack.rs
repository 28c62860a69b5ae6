//! An api and workers as real processes, on a database and a bucket of their own.

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
    guard::{self, Guarded},
    port,
};

/// Longest wait for a condition. Only a broken program meets it: nothing is asserted about time.
const PATIENCE: Duration = Duration::from_mins(2);

/// The directory of uploads, or their prefix in the bucket.
const STAGING: &str = "staging";

/// What a stack is made of, where it is not the usual.
#[derive(Debug, Default)]
pub struct Setup {
    /// So many workers.
    pub workers: usize,
    /// The URL of an empty database; `None`: a new one on the test run's cluster.
    pub database: Option<String>,
    /// Where uploads wait; `None`: a directory beside the bucket.
    pub staging: Option<PathBuf>,
    /// Uploads wait in the bucket of the renditions instead.
    pub staging_in_bucket: bool,
    /// The api's limit of open files (`RLIMIT_NOFILE`).
    pub api_open_files: Option<u32>,
    /// Settings of api and workers, in place of the usual ones.
    pub settings: Vec<(&'static str, String)>,
}

/// An api and workers, and what they work on. All of it goes when this is dropped.
#[derive(Debug)]
pub struct Stack {
    /// The api's.
    pub url: String,
    /// The database's.
    pub database: String,
    /// A client for the api.
    pub http: reqwest::Client,
    /// The directory where uploads wait.
    pub staging: PathBuf,
    /// The bucket of the renditions.
    pub bucket: Bucket,
    env: Vec<(&'static str, String)>,
    /// The api.
    pub api: Guarded,
    /// The workers.
    pub workers: Vec<Guarded>,
}

/// What became of an upload.
#[derive(Debug)]
pub enum Offer {
    /// `202`: the image, as the api told it.
    Accepted(Value),
    /// Another answer: its status and its problem document.
    Refused(StatusCode, Value),
    /// The connection broke before an answer came.
    Broken,
}

impl Stack {
    /// Starts an api and so many workers, and waits until the api is ready.
    pub async fn start(workers: usize) -> Self {
        Self::start_with(Setup { workers, ..Setup::default() }).await
    }

    /// The same, made to measure.
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
        stack.api_is_ready().await;
        for _ in 0..setup.workers {
            stack.start_worker();
        }
        stack
    }

    /// Starts another worker.
    pub fn start_worker(&mut self) {
        self.workers.push(self.new_worker(&[]));
    }

    /// A worker that is the caller's to keep, with these variables in its environment besides.
    #[must_use]
    pub fn new_worker(&self, more: &[(&'static str, String)]) -> Guarded {
        spawn("darkroom-worker", &[], &[self.env.as_slice(), more].concat())
    }

    /// Starts an api in the place of one that has ended.
    pub async fn restart_api(&mut self) {
        self.api = spawn("darkroom-api", &[], &self.env);
        self.api_is_ready().await;
    }

    /// Runs a command of the worker to its end.
    pub async fn worker_command(&self, arguments: &[&str]) -> ExitStatus {
        spawn("darkroom-worker", arguments, &self.env).process.wait().await.unwrap()
    }

    /// What the worker's command says of its failure, with these variables in its environment besides.
    pub async fn failing_worker_command(&self, arguments: &[&str], more: &[(&'static str, String)]) -> String {
        let mut command = Command::new(binary("darkroom-worker"));
        command.args(arguments).env_clear().envs(self.env.iter().cloned()).envs(more.iter().cloned());
        let output = command.output().await.unwrap();
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What `darkroom-worker queue …` says, in JSON.
    pub async fn queue_command(&self, arguments: &[&str]) -> Value {
        let arguments = [&["queue", "--json"], arguments].concat();
        let mut command = Command::new(binary("darkroom-worker"));
        command.args(&arguments).env_clear().envs(self.env.iter().cloned());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn api_is_ready(&self) {
        eventually("the api is ready", async || {
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Uploads a picture with these form fields.
    pub async fn offer(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> Offer {
        let mut form = multipart::Form::new().part("file", multipart::Part::bytes(picture).file_name("picture"));
        for (name, value) in fields {
            form = form.text(*name, (*value).to_owned());
        }
        let answer = self.http.post(format!("{}/v1/images", self.url)).multipart(form).send().await;
        let Ok(answer) = answer else { return Offer::Broken };
        let status = answer.status();
        match answer.json().await {
            Ok(image) if status == StatusCode::ACCEPTED => Offer::Accepted(image),
            Ok(problem) => Offer::Refused(status, problem),
            Err(_) => Offer::Broken,
        }
    }

    /// Uploads a picture that is to be accepted; `None` where the connection broke before an answer came.
    pub async fn try_upload(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> Option<Value> {
        match self.offer(picture, fields).await {
            Offer::Accepted(image) => Some(image),
            Offer::Broken => None,
            Offer::Refused(status, problem) => panic!("{status}: {problem}"),
        }
    }

    /// Uploads a picture, and returns its id.
    pub async fn upload(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> String {
        id(&self.try_upload(picture, fields).await.expect("an answer"))
    }

    /// What the api says of an image; `None`: there is none.
    pub async fn image(&self, id: &str) -> Option<Value> {
        let answer = self.http.get(format!("{}/v1/images/{id}", self.url)).send().await.unwrap();
        (answer.status() != StatusCode::NOT_FOUND).then_some(answer.json().await.unwrap())
    }

    /// Waits until an image has this status.
    pub async fn reaches(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), async || {
            let image = self.image(id).await?;
            assert!(image["status"] == status || !is_finished(&image), "{id} is not to be {status}: {image}");
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

    /// Fetches a rendition through the api, as a browser would: by its name, along the redirect.
    pub async fn fetch(&self, id: &str, name: &str) -> (String, Vec<u8>) {
        let url = format!("{}/v1/images/{id}/renditions/{name}", self.url);
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.bytes().await.unwrap().to_vec())
    }

    /// Files in staging, drafts among them.
    pub fn staged(&self) -> Vec<PathBuf> {
        // An S3 server keeps its own notes beside the objects.
        files(&self.staging).into_iter().filter(|path| !is_hidden(path)).collect()
    }

    /// Objects in the bucket.
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut objects = files(&self.bucket.dir.path().join(&self.bucket.name));
        objects.retain(|path| !is_hidden(path) && !path.starts_with(&self.staging));
        objects
    }

    /// Waits until staging is empty: the staged file goes after the commit that makes an image ready.
    pub async fn staging_is_empty(&self) {
        eventually("staging is empty", async || self.staged().is_empty().then_some(())).await;
    }
}

/// The id in an answer of the api.
pub fn id(image: &Value) -> String {
    image["id"].as_str().expect("an id").to_owned()
}

fn is_finished(image: &Value) -> bool {
    image["status"] == "ready" || image["status"] == "failed"
}

/// Polls until there is something.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn files(below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(below) else { return Vec::new() };
    // A file may go while we look.
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Beside the test binary's folder: `cargo test --workspace` builds all binaries before it runs a test.
fn binary(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join(name)
}

/// A process that may open only so many files. The shell replaces itself by the program.
fn spawn_with_open_files(name: &str, open_files: u32, env: &[(&'static str, String)]) -> Guarded {
    let path = binary(name);
    let script = format!("ulimit -n {open_files} && exec \"$0\"");
    let spawned = guard::spawn("sh", "KILL", |command| {
        command.args(["-c", &script]).arg(&path).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(env.iter().cloned()).stdout(Stdio::null());
    });
    spawned.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn spawn(name: &str, arguments: &[&str], env: &[(&'static str, String)]) -> Guarded {
    let path = binary(name);
    let spawned = guard::spawn(&path, "KILL", |command| {
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(env.iter().cloned()).stdout(Stdio::null());
    });
    spawned.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
