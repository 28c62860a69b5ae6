//! An api and workers as real processes, on a database and a bucket of their own.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use darkroom_dev::{
    guard::{self, Guarded},
    port, testing,
};
use reqwest::{StatusCode, multipart};
use serde_json::Value;
use tokio::{process::Command, time::Instant};

/// Longest wait for a condition. Only a broken program meets it: nothing is asserted about time.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Stack {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) staging: PathBuf,
    bucket: testing::Bucket,
    env: Vec<(&'static str, String)>,
    pub(crate) api: Guarded,
    pub(crate) workers: Vec<Guarded>,
}

impl Stack {
    /// Starts an api and so many workers, and waits until the api is ready.
    pub(crate) async fn start(workers: usize) -> Self {
        let bucket = testing::bucket().await;
        let bind = format!("127.0.0.1:{}", port::free().unwrap());
        let staging = bucket.dir.path().join("staging");
        let mut env = Vec::from(bucket.env());
        env.extend([
            ("DATABASE_URL", testing::database().await),
            ("STAGING_URL", format!("file://{}", staging.display())),
            ("BIND", bind.clone()),
            ("WORKER_CONCURRENCY", "2".to_owned()),
            ("LOG", "warn".to_owned()),
        ]);
        let api = spawn("darkroom-api", &[], &env);
        let mut stack = Self {
            url: format!("http://{bind}"),
            http: testing::http(),
            staging,
            bucket,
            env,
            api,
            workers: Vec::new(),
        };
        stack.api_is_ready().await;
        for _ in 0..workers {
            stack.start_worker();
        }
        stack
    }

    pub(crate) fn start_worker(&mut self) {
        self.workers.push(spawn("darkroom-worker", &[], &self.env));
    }

    /// Starts an api in the place of one that has ended.
    pub(crate) async fn restart_api(&mut self) {
        self.api = spawn("darkroom-api", &[], &self.env);
        self.api_is_ready().await;
    }

    /// Runs a command of the worker to its end.
    pub(crate) async fn worker_command(&self, arguments: &[&str]) -> ExitStatus {
        spawn("darkroom-worker", arguments, &self.env).process.wait().await.unwrap()
    }

    /// What `darkroom-worker queue …` says, in JSON.
    pub(crate) async fn queue_command(&self, arguments: &[&str]) -> Value {
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

    /// Uploads a picture with these form fields; `None` where the connection broke before an answer came.
    pub(crate) async fn try_upload(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> Option<Value> {
        let mut form = multipart::Form::new().part("file", multipart::Part::bytes(picture).file_name("picture"));
        for (name, value) in fields {
            form = form.text(*name, (*value).to_owned());
        }
        let answer = self.http.post(format!("{}/v1/images", self.url)).multipart(form).send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        Some(body)
    }

    /// Uploads a picture, and returns its id.
    pub(crate) async fn upload(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> String {
        id(&self.try_upload(picture, fields).await.expect("an answer"))
    }

    /// What the api says of an image; `None`: there is none.
    pub(crate) async fn image(&self, id: &str) -> Option<Value> {
        let answer = self.http.get(format!("{}/v1/images/{id}", self.url)).send().await.unwrap();
        (answer.status() != StatusCode::NOT_FOUND).then_some(answer.json().await.unwrap())
    }

    /// Waits until an image has this status.
    pub(crate) async fn reaches(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), async || {
            let image = self.image(id).await?;
            assert!(image["status"] == status || !is_finished(&image), "{id} is not to be {status}: {image}");
            (image["status"] == status).then_some(image)
        })
        .await
    }

    /// All images the api lists.
    pub(crate) async fn list(&self) -> Vec<Value> {
        let (mut images, mut url) = (Vec::new(), format!("{}/v1/images?limit=100", self.url));
        loop {
            let page: Value = self.http.get(&url).send().await.unwrap().json().await.unwrap();
            images.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { return images };
            url = format!("{}/v1/images?limit=100&cursor={cursor}", self.url);
        }
    }

    /// Fetches a rendition through the api, as a browser would: by its name, along the redirect.
    pub(crate) async fn fetch(&self, id: &str, name: &str) -> (String, Vec<u8>) {
        let url = format!("{}/v1/images/{id}/renditions/{name}", self.url);
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.bytes().await.unwrap().to_vec())
    }

    /// Files in staging, drafts among them.
    pub(crate) fn staged(&self) -> Vec<PathBuf> {
        files(&self.staging)
    }

    /// Objects in the bucket.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let mut objects = files(&self.bucket.dir.path().join(&self.bucket.name));
        // The server keeps its own notes beside the objects.
        objects.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
        objects
    }

    /// Waits until staging is empty: the staged file goes after the commit that makes an image ready.
    pub(crate) async fn staging_is_empty(&self) {
        eventually("staging is empty", async || self.staged().is_empty().then_some(())).await;
    }
}

/// The id in an answer of the api.
pub(crate) fn id(image: &Value) -> String {
    image["id"].as_str().expect("an id").to_owned()
}

fn is_finished(image: &Value) -> bool {
    image["status"] == "ready" || image["status"] == "failed"
}

/// Polls until there is something.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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

fn spawn(name: &str, arguments: &[&str], env: &[(&'static str, String)]) -> Guarded {
    let path = binary(name);
    let spawned = guard::spawn(&path, "KILL", |command| {
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(env.iter().cloned()).stdout(Stdio::null());
    });
    spawned.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
