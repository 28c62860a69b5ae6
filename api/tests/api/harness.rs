//! A running api with its own database, bucket and staging directory, an HTTP client, and images to upload.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use chrono::{DateTime, Utc};
use darkroom_api::{App, ConnectionLimits, ServerOptions, Token, endpoint, serve};
use darkroom_dev::testing;
use darkroom_model::Owner;
use darkroom_shared::{
    access::{Actor, KeyId, NewKey, Scope, Scopes, create_key},
    database,
    settings::{DatabaseSettings, Settings},
};
use futures::FutureExt as _;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    multipart::{Form, Part},
    redirect,
};
use serde_json::Value;
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::Duration};

/// The API key of every database, with all scopes of the owner `default`.
pub(crate) const KEY: &str = "dk_3qP16cbLse2wVFtG7AW08d2Q6kW8";

/// A running api.
pub(crate) struct Api {
    pub(crate) app: App,
    pub(crate) url: String,
    pub(crate) http: Client,
    pub(crate) bucket: testing::Bucket,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    database: String,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], |_| {}).await
    }

    /// Starts an api with more settings and a modified [`App`].
    pub(crate) async fn start_with(settings: &[(&str, &str)], change: impl FnOnce(&mut App)) -> Self {
        let api = Self::start_without_key(settings, change).await;
        api.add_key(&KEY.parse().unwrap(), Owner::DEFAULT, Scopes::all(), None).await;
        api
    }

    /// The same without any key in its database.
    pub(crate) async fn start_without_key(settings: &[(&str, &str)], change: impl FnOnce(&mut App)) -> Self {
        let (database, bucket) = tokio::join!(testing::database(), testing::bucket());
        let settings = read_settings(&database, &bucket, settings);
        let db = database::connect(&DatabaseSettings::direct(&database, 5)).await.unwrap();
        database::migrate(&db).await.unwrap();
        let mut app = App::open(db, &settings).await.unwrap();
        change(&mut app);
        app.installation.check_and_log().await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let stopped = stopped.map(|_| ());
        let limits = ConnectionLimits {
            connections: app.api.connections.unwrap_or(1000),
            requests: app.api.requests.unwrap_or(1000),
        };
        let options = ServerOptions {
            limits,
            idle_timeout: app.idle_timeout,
            min_bytes_per_second: app.api.min_bytes_per_second,
            grace: Duration::from_secs(30),
        };
        let served = tokio::spawn(serve(listener, endpoint(&app), stopped, options));
        // Installs the TLS provider that reqwest needs.
        drop(testing::http());
        let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { app, url, http, bucket, stop: Some(stop), served, database }
    }

    /// Adds a key to the database.
    pub(crate) async fn add_key(
        &self,
        token: &Token,
        owner: Owner,
        scopes: Scopes,
        expires_at: Option<DateTime<Utc>>,
    ) -> KeyId {
        let new = NewKey { name: "of a test".parse().unwrap(), scopes, expires_at };
        let mut connection = self.db().acquire().await.unwrap();
        create_key(&mut connection, &Actor::OPERATOR, owner, &new, &token.hash()).await.unwrap().id
    }

    /// Makes a key of the owner `default` with these scopes.
    pub(crate) async fn key(&self, scopes: &[Scope]) -> Token {
        let token = Token::generate();
        self.add_key(&token, Owner::DEFAULT, scopes.iter().copied().collect(), None).await;
        token
    }

    pub(crate) fn db(&self) -> &PgPool {
        self.app.db.pool()
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// The environment of a child process with the same settings.
    pub(crate) fn env(&self) -> HashMap<&'static str, String> {
        env(&self.database, &self.bucket)
    }

    /// Tells the server to stop; [`Self::stopped`] waits for it.
    pub(crate) fn stop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(self) {
        self.served.await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> ApiResponse {
        self.request(Method::GET, path).await
    }

    pub(crate) async fn request(&self, method: Method, path: &str) -> ApiResponse {
        self.send(self.http.request(method, format!("{}{path}", self.url))).await
    }

    /// Sends a request with [`KEY`].
    pub(crate) async fn send(&self, request: RequestBuilder) -> ApiResponse {
        self.send_as(Some(KEY), request).await
    }

    /// Sends a request with this key.
    pub(crate) async fn send_as(&self, key: Option<&str>, request: RequestBuilder) -> ApiResponse {
        let mut request = request.build().unwrap();
        if let Some(key) = key {
            let value = HeaderValue::from_str(&format!("Bearer {key}")).unwrap();
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = ApiResponse::read(self.http.execute(request).await.unwrap()).await;
        response.check(&method, &path);
        response
    }

    pub(crate) async fn post(&self, form: Form) -> ApiResponse {
        self.send(self.http.post(format!("{}/v1/images", self.url)).multipart(form)).await
    }

    /// Uploads an image and returns its id.
    pub(crate) async fn upload(&self, title: &str) -> String {
        let response = self.post(file(png(3, 2)).text("title", title.to_owned())).await;
        assert_eq!(response.status, 202, "{}", response.text);
        response.json()["id"].as_str().unwrap().to_owned()
    }

    /// The names of all staged files, including drafts.
    pub(crate) fn staged(&self) -> Vec<String> {
        let staging = staging_directory(&self.bucket);
        [staging.clone(), staging.join("incoming")].iter().flat_map(|directory| files(directory)).collect()
    }

    pub(crate) async fn images(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM images").fetch_one(self.db()).await.unwrap()
    }
}

/// Polls a condition until it holds. The test runner's timeout ends a test whose condition never holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    // The installation's marker is hidden.
    files.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| !name.starts_with('.')).collect()
}

fn staging_directory(bucket: &testing::Bucket) -> PathBuf {
    bucket.dir.path().join(".staging")
}

fn env(database: &str, bucket: &testing::Bucket) -> HashMap<&'static str, String> {
    let staging = format!("file://{}", staging_directory(bucket).display());
    let ours = [("DATABASE_URL", database.to_owned()), ("STAGING_URL", staging), ("BIND", "127.0.0.1:0".to_owned())];
    bucket.env().into_iter().chain(ours).collect()
}

fn read_settings(database: &str, bucket: &testing::Bucket, more: &[(&str, &str)]) -> Settings {
    let env = env(database, bucket);
    let more: HashMap<_, _> = more.iter().copied().collect();
    Settings::read(&|name| more.get(name).map(|value| (*value).to_owned()).or_else(|| env.get(name).cloned())).unwrap()
}

impl ApiResponse {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem document; asserts its status and type.
    pub(crate) fn problem(&self, status: u16, problem_type: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.json()["type"].as_str()), (status, Some(problem_type)), "{}", self.text);
        self.json()
    }

    /// Asserts what is true of every response.
    fn check(&self, method: &Method, path: &str) {
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert!(self.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
        assert!(self.header("cache-control").is_some());
        assert!(self.headers.get_all("vary").iter().any(|value| value == "Origin"));
        let documented = documented(method, path);
        if let Some(documented) = &documented {
            let status = self.status.as_str();
            let range = format!("{}XX", &status[..1]);
            assert!(
                documented.get(status).or(documented.get(&range)).is_some(),
                "{method} {path} has the undocumented status {status}"
            );
        }
        if self.status.as_u16() >= 400 {
            assert_eq!(self.header("content-type"), Some("application/problem+json"));
            if *method != Method::HEAD {
                let problem = self.json();
                assert_eq!(problem["status"], self.status.as_u16());
                assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
                assert!(problem["title"].is_string() && problem["detail"].is_string());
            }
        }
    }
}

/// The documented responses of an operation.
fn documented(method: &Method, path: &str) -> Option<Value> {
    static SPEC: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&darkroom_api::spec_json()).unwrap());
    let matches = |pattern: &str| {
        pattern.split('/').count() == path.split('/').count()
            && pattern
                .split('/')
                .zip(path.split('/'))
                .all(|(known, segment)| known.starts_with('{') || known == segment)
    };
    let (_, operations) = SPEC["paths"].as_object().unwrap().iter().find(|(pattern, _)| matches(pattern))?;
    operations.get(method.as_str().to_lowercase()).map(|operation| operation["responses"].clone())
}

/// A form with a file named `picture.png`.
pub(crate) fn file(bytes: Vec<u8>) -> Form {
    Form::new().part("file", Part::bytes(bytes).file_name("picture.png"))
}

/// A PNG of this size in pixels with a valid header. Its pixel data is invalid, which the api does not read.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(width, height, 10)
}

/// A PNG with this many bytes of pixel data.
pub(crate) fn png_of(width: u32, height: u32, bytes: usize) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    // Eight bits of red, green and blue, not interlaced.
    chunk(&mut png, *b"IHDR", &[size.as_slice(), &[8, 2, 0, 0, 0]].concat());
    chunk(&mut png, *b"IDAT", &vec![0x5a; bytes]);
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) {
    png.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    let begin = png.len();
    png.extend_from_slice(&kind);
    png.extend_from_slice(body);
    let crc = crc32(&png[begin..]);
    png.extend_from_slice(&crc.to_be_bytes());
}

/// The CRC of the PNG specification, annex D.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}
