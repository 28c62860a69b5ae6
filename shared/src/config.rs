//! Every setting of both binaries: its name, default, meaning and check, in one place.
//!
//! Settings come from the environment only. All of them are read and checked at start, and all mistakes are reported
//! at once. Secrets are held as [`Secret`], which cannot be printed.

use darkroom_container::header::HeaderLimits;
use std::{env, fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

use darkroom_queue::{Retention, Thresholds};

use crate::api_limits::{self, ApiLimits, StagingLimits};

/// A value that must not reach a log, an answer or a debug print.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One environment variable.
#[derive(Debug)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// Names from elsewhere that mean the same. The first that is set counts.
    pub aliases: &'static [&'static str],
    /// The value where the variable is not set or empty; `None`: it has to be set, or may be absent.
    pub default: Option<&'static str>,
    /// One line for `--help` and the docs.
    pub help: &'static str,
}

macro_rules! settings {
    ($($id:ident $( $alias:ident )* = $default:expr, $help:literal;)+) => {
        $(const $id: Setting = Setting {
            name: stringify!($id), aliases: &[$(stringify!($alias)),*], default: $default, help: $help,
        };)+
        /// All settings, in the order of the docs.
        pub const SETTINGS: &[Setting] = &[$($id),+];
    };
}

settings! {
    DATABASE_URL = None, "Postgres 14 or newer, postgres://user:password@host/database. Required.";
    DATABASE_CONNECTIONS = Some("10"), "Connections a process opens at most, beside the few of its queue.";
    MIGRATE_ON_START = Some("true"), "Whether a starting process migrates the database; else run `darkroom-api migrate`.";
    DATABASE_POOLER = Some("false"), "Whether DATABASE_URL leads through a pooler that gives out connections by the transaction (PgBouncer 1.21 or newer): see docs/queue.md.";
    BUCKET_URL AWS_STORAGE_BUCKET_NAME = None, "Where renditions are stored, s3://bucket/prefix. Required.";
    AWS_REGION AWS_S3_REGION_NAME AWS_DEFAULT_REGION = Some("us-east-1"), "Region of the bucket.";
    AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 = None, "Address of an S3 server other than Amazon's. Plain http:// is allowed here.";
    AWS_ACCESS_KEY_ID = None, "Key of the bucket. Without it: the instance's, the task's or the pod's own role.";
    AWS_SECRET_ACCESS_KEY = None, "Secret of that key.";
    AWS_SESSION_TOKEN = None, "Session token of temporary credentials.";
    SIGNING_ENDPOINT_URL = None, "Address of the S3 server in presigned URLs, where clients reach it by another name.";
    PRESIGNED_URL_SECONDS = Some("3600"), "How long a presigned URL works, 1 to 604800.";
    PUBLIC_BUCKET_URL = None, "Base URL of a CDN or a public bucket; renditions are then linked there, unsigned.";
    STAGING_URL = Some("file:data/staging"), "Where uploads wait: file:///directory, or s3://bucket/prefix for workers on other machines.";
    STAGING_MAX_BYTES = Some("0"), "Bytes of uploads that may wait in staging, beyond which uploads are refused with 507; 0: no limit.";
    STAGING_RESERVE_BYTES = Some("67108864"), "Free bytes that uploads leave on the disk of staging, or of the drafts where staging is a bucket; beyond it they are refused with 507.";
    BIND = Some("127.0.0.1:8000"), "Address and port the api listens on.";
    HEALTH_BIND = None, "Address and port of a second listener of the api, which serves only /healthz and /readyz.";
    MAX_CONNECTIONS = Some("0"), "Connections the api keeps open at most, besides 32 for probes; 0: by the limit of open files, at most 4096.";
    MAX_REQUESTS = Some("0"), "Requests the api serves at once at most, slow uploads included and probes not; 0: half of MAX_CONNECTIONS, at most 512.";
    MIN_BYTES_PER_SECOND = Some("1024"), "Rate at which a client must send a request or take a response, after the first 30 seconds; 0: none.";
    MAX_PENDING_IMAGES = Some("1000000"), "Images that may wait to be rendered, beyond which uploads are refused with 503; 0: no limit.";
    ALLOWED_ORIGINS = None, "Origins whose pages may upload and delete besides the api's own, such as https://app.example, separated by commas; *: all.";
    MAX_UPLOAD_BYTES = Some("33554432"), "Largest accepted file, in bytes.";
    MAX_PIXELS = Some("100000000"), "Most pixels of an image, summed over its frames.";
    MAX_FRAMES = Some("1000"), "Most frames of an animation.";
    WORKER_CONCURRENCY = Some("0"), "Images a worker renders at once; 0: as many as it has cores.";
    RENDER_SECONDS = Some("60"), "Longest time one image may take to render: to decode, resize and encode.";
    RENDER_MEMORY_BYTES = Some("0"), "Memory that all images a worker renders at once may take, 268435456 or more; 0: three quarters of the machine's or the container's.";
    RENDER_CHILD_IMAGES = Some("100"), "Images after which a render process is replaced, 1 to 1000000.";
    DRAIN_SECONDS = Some("30"), "How long running jobs and uploads may go on after SIGTERM.";
    LEASE_SECONDS = Some("6"), "How long a worker is believed alive after its last heartbeat, 3 to 60; the same in every process.";
    MAX_CRASHES = Some("3"), "How many workers or render processes may die over a job before it is quarantined, 1 to 100.";
    KEEP_DONE_SECONDS = Some("604800"), "How long finished jobs are kept.";
    KEEP_FAILED_SECONDS = Some("2592000"), "How long jobs that failed for good are kept, with their errors.";
    KEEP_JOBS = Some("1000000"), "Most jobs in the table; of more, the oldest that have ended go, whatever their age.";
    LATE_SECONDS = Some("300"), "From when a due job that waits, or a transaction that holds back the vacuum, is warned of.";
    ORPHAN_SECONDS = Some("86400"), "Age from which a staged file or an object that no image claims is removed, 3600 or more.";
    LOG = Some("info"), "What is logged, as tracing-subscriber's EnvFilter reads it: info, or darkroom_worker=debug,warn.";
    LOG_FORMAT = Some("text"), "text for people, json for collectors.";
}

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The catalog and the queue.
    pub database: Database,
    /// Where renditions go.
    pub bucket: Bucket,
    /// Where uploads wait.
    pub staging: StagingUrl,
    /// What is accepted.
    pub limits: Limits,
    /// Where the api listens.
    pub bind: SocketAddr,
    /// What the api takes on.
    pub api: ApiLimits,
    /// How the worker works.
    pub worker: Worker,
    /// How the queue works.
    pub queue: Queue,
    /// What is logged, and how.
    pub log: Log,
}

/// Settings of the database.
#[derive(Debug, Clone)]
pub struct Database {
    /// With the password in it.
    pub url: Secret,
    /// At most so many at once in one process's pool.
    pub connections: u32,
    /// Whether to migrate at start.
    pub migrate_on_start: bool,
    /// Whether a pooler stands before it that gives out connections by the transaction.
    pub pooler: bool,
}

impl Database {
    /// A server that is reached without a pooler, and is migrated at start.
    pub fn direct(url: &str, connections: u32) -> Self {
        Self { url: Secret::from(url), connections, migrate_on_start: true, pooler: false }
    }
}

/// An `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Url {
    /// The bucket's name.
    pub bucket: String,
    /// Without slashes at its ends; may be empty.
    pub prefix: String,
}

/// Settings of the bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Which bucket, and where in it.
    pub url: S3Url,
    /// How to reach it.
    pub access: S3Access,
    /// Where clients reach it, if not at `access.endpoint`.
    pub signing_endpoint: Option<Url>,
    /// How long a presigned URL works.
    pub presigned: Duration,
    /// The CDN's base URL, without a slash at its end.
    pub public: Option<Url>,
}

/// How to reach and sign for an S3 server.
#[derive(Debug, Clone)]
pub struct S3Access {
    /// Its region.
    pub region: String,
    /// `None`: Amazon's.
    pub endpoint: Option<Url>,
    /// `None`: credentials are asked of the machine's environment (EC2, ECS, EKS).
    pub key: Option<S3Key>,
}

/// A key pair for S3.
#[derive(Debug, Clone)]
pub struct S3Key {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: Secret,
    /// Of temporary credentials.
    pub session_token: Option<Secret>,
}

/// Where uploads wait until they are rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StagingUrl {
    /// A directory that the api and every worker see.
    Directory(PathBuf),
    /// A bucket, or a prefix in one; reached as the bucket of the renditions is.
    Bucket(S3Url),
}

/// What is accepted of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the file.
    pub bytes: u64,
    /// Pixels, summed over frames.
    pub pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
}

/// The settings' limits, and the defaults for what has no setting.
impl From<Limits> for HeaderLimits {
    fn from(Limits { pixels, frames, .. }: Limits) -> Self {
        Self { pixels, frames, ..Self::default() }
    }
}

/// Settings of the worker.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Images rendered at once.
    pub concurrency: usize,
    /// Longest time for one image.
    pub render: Duration,
    /// Memory of all images that are rendered at once, in bytes; `None`: by what the machine has.
    pub render_memory: Option<u64>,
    /// Images after which a render process is replaced.
    pub child_images: u32,
    /// Grace for running jobs after SIGTERM.
    pub drain: Duration,
    /// Age from which an orphan is removed.
    pub orphan: Duration,
}

/// Settings of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How long a worker is believed alive after its last heartbeat.
    pub lease: Duration,
    /// How many workers may die over a job.
    pub max_crashes: u16,
    /// How long jobs are kept after their end.
    pub retention: Retention,
    /// From when to warn.
    pub thresholds: Thresholds,
}

/// Settings of the log.
#[derive(Debug, Clone)]
pub struct Log {
    /// An `EnvFilter`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that is wrong with the environment, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

impl Settings {
    /// Reads and checks the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(&|name| env::var(name).ok())
    }

    /// Reads and checks settings from `lookup`.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        let r = &mut reader;
        let database = r.database();
        let bucket = r.bucket();
        let staging = r.required(&STAGING_URL, staging_url);
        let limits = r.limits();
        let bind = r.required(&BIND, parse::<SocketAddr>("an address and port such as 127.0.0.1:8000"));
        let api = r.api_limits();
        let worker = r.worker();
        let queue = r.queue();
        let log = r.log();
        let settings = (|| {
            Some(Self {
                database: database?,
                bucket: bucket?,
                staging: staging?,
                limits: limits?,
                bind: bind?,
                api: api?,
                worker: worker?,
                queue: queue?,
                log: log?,
            })
        })();
        settings.filter(|_| reader.mistakes.is_empty()).ok_or(ConfigError(reader.mistakes))
    }

    /// What is in force, as `(name, value)`, secrets hidden: for `darkroom-api config`.
    pub fn in_force(lookup: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
        let reader = Reader { lookup, mistakes: Vec::new() };
        SETTINGS
            .iter()
            .map(|setting| {
                let shown = match reader.raw(setting) {
                    None => "(not set)".to_owned(),
                    Some(_) if [AWS_SECRET_ACCESS_KEY.name, AWS_SESSION_TOKEN.name].contains(&setting.name) => {
                        "***".to_owned()
                    }
                    Some(value) => without_password(&value),
                };
                (setting.name, shown)
            })
            .collect()
    }
}

/// The settings as text for `--help`.
pub fn help() -> String {
    let line = |setting: &Setting| {
        let default = setting.default.map_or_else(String::new, |value| format!(" [default: {value}]"));
        format!("  {:<22} {}{default}\n", setting.name, setting.help)
    };
    SETTINGS.iter().fold(String::from("Settings, from the environment:\n"), |text, setting| text + &line(setting))
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn raw(&self, setting: &Setting) -> Option<String> {
        std::iter::once(&setting.name)
            .chain(setting.aliases)
            .find_map(|name| (self.lookup)(name).filter(|value| !value.trim().is_empty()))
            .or_else(|| setting.default.map(str::to_owned))
    }

    fn optional<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.raw(setting)?.trim()) {
            Ok(value) => Some(value),
            Err(expected) => {
                // The value is not repeated: it may be a secret in the wrong place.
                self.mistakes.push(format!("{} must be {expected}", setting.name));
                None
            }
        }
    }

    fn required<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.raw(setting).is_none() {
            self.mistakes.push(format!("{} is not set. {}", setting.name, setting.help));
        }
        self.optional(setting, parse)
    }

    fn number<T>(&mut self, setting: &Setting, from: T, to: T) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        self.required(setting, |text| match text.parse::<T>() {
            Ok(value) if value >= from && value <= to => Ok(value),
            _ => Err(format!("a whole number from {from} to {to}")),
        })
    }

    fn seconds(&mut self, setting: &Setting, from: u64, to: u64) -> Option<Duration> {
        self.number(setting, from, to).map(Duration::from_secs)
    }

    fn database(&mut self) -> Option<Database> {
        let url = self.required(&DATABASE_URL, |text| match Url::parse(text) {
            Ok(url) if ["postgres", "postgresql"].contains(&url.scheme()) => Ok(Secret::from(text)),
            _ => Err("a URL such as postgres://user:password@host/database".to_owned()),
        });
        let connections = self.number(&DATABASE_CONNECTIONS, 2, 1000);
        let migrate_on_start = self.required(&MIGRATE_ON_START, parse::<bool>("true or false"));
        let pooler = self.required(&DATABASE_POOLER, parse::<bool>("true or false"));
        if pooler == Some(true) && migrate_on_start == Some(true) {
            // It would take its lock on a connection that the pooler then hands to somebody else.
            self.mistakes.push(
                "MIGRATE_ON_START must be false with DATABASE_POOLER: migrations go straight to Postgres".to_owned(),
            );
        }
        Some(Database { url: url?, connections: connections?, migrate_on_start: migrate_on_start?, pooler: pooler? })
    }

    fn bucket(&mut self) -> Option<Bucket> {
        let url = self.required(&BUCKET_URL, |text| {
            if text.contains("://") { s3_url(text) } else { s3_url(&format!("s3://{text}")) }
        });
        let access = self.s3_access();
        let signing_endpoint = self.optional(&SIGNING_ENDPOINT_URL, http_url);
        // S3 refuses presigned URLs that live longer than a week.
        let presigned = self.seconds(&PRESIGNED_URL_SECONDS, 1, 604_800);
        let public = self.optional(&PUBLIC_BUCKET_URL, http_url);
        Some(Bucket { url: url?, access: access?, signing_endpoint, presigned: presigned?, public })
    }

    fn s3_access(&mut self) -> Option<S3Access> {
        let text = |text: &str| Ok(text.to_owned());
        let region = self.required(&AWS_REGION, text);
        let endpoint = self.optional(&AWS_ENDPOINT_URL, http_url);
        let id = self.optional(&AWS_ACCESS_KEY_ID, text);
        let secret = self.optional(&AWS_SECRET_ACCESS_KEY, text);
        let session_token = self.optional(&AWS_SESSION_TOKEN, text);
        let key = match (id, secret) {
            (Some(id), Some(secret)) => {
                Some(S3Key { id, secret: Secret(secret), session_token: session_token.map(Secret) })
            }
            (None, None) => None,
            _ => {
                self.mistakes
                    .push("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both or none".to_owned());
                None
            }
        };
        Some(S3Access { region: region?, endpoint, key })
    }

    fn limits(&mut self) -> Option<Limits> {
        let bytes = self.number(&MAX_UPLOAD_BYTES, 1, 1 << 32);
        let pixels = self.number(&MAX_PIXELS, 1, 1 << 32);
        let frames = self.number(&MAX_FRAMES, 1, 100_000);
        Some(Limits { bytes: bytes?, pixels: pixels?, frames: frames? })
    }

    fn api_limits(&mut self) -> Option<ApiLimits> {
        let staging_bytes = self.number(&STAGING_MAX_BYTES, 0, 1 << 50);
        let staging_reserve = self.number(&STAGING_RESERVE_BYTES, 0, 1 << 50);
        let health_bind =
            self.optional(&HEALTH_BIND, parse::<SocketAddr>("an address and port such as 127.0.0.1:8001"));
        let connections = self.number(&MAX_CONNECTIONS, 0, 1_000_000);
        let requests = self.number(&MAX_REQUESTS, 0, 1_000_000);
        let min_bytes_per_second = self.number(&MIN_BYTES_PER_SECOND, 0, 1 << 20);
        let pending_images = self.number(&MAX_PENDING_IMAGES, 0, 1_000_000_000);
        let allowed_origins = self.optional(&ALLOWED_ORIGINS, api_limits::origins);
        Some(ApiLimits {
            staging: StagingLimits { bytes: non_zero(staging_bytes?), reserve: staging_reserve? },
            health_bind,
            connections: usize::try_from(connections?).ok().and_then(non_zero),
            requests: usize::try_from(requests?).ok().and_then(non_zero),
            min_bytes_per_second: min_bytes_per_second?,
            pending_images: non_zero(pending_images?),
            allowed_origins: allowed_origins.unwrap_or_default(),
        })
    }

    fn worker(&mut self) -> Option<Worker> {
        let concurrency = self.number(&WORKER_CONCURRENCY, 0, 1024).map(|asked: usize| match asked {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        });
        let render = self.seconds(&RENDER_SECONDS, 1, 3600);
        let memory = self.required(&RENDER_MEMORY_BYTES, |text| match text.parse::<u64>() {
            Ok(0) => Ok(None),
            // Less would not do for a photograph.
            Ok(bytes) if bytes >= 256 << 20 => Ok(Some(bytes)),
            _ => Err("0, or a whole number from 268435456".to_owned()),
        });
        let child_images = self.number(&RENDER_CHILD_IMAGES, 1, 1_000_000);
        let drain = self.seconds(&DRAIN_SECONDS, 0, 3600);
        // Not less than an hour: a slow upload and a long job must never look like orphans.
        let orphan = self.seconds(&ORPHAN_SECONDS, 3600, 31_536_000);
        Some(Worker {
            concurrency: concurrency?,
            render: render?,
            render_memory: memory?,
            child_images: child_images?,
            drain: drain?,
            orphan: orphan?,
        })
    }

    fn queue(&mut self) -> Option<Queue> {
        const YEARS: u64 = 10 * 365 * 86_400;
        let lease = self.seconds(&LEASE_SECONDS, 3, 60);
        let max_crashes = self.number(&MAX_CRASHES, 1, 100);
        let done = self.seconds(&KEEP_DONE_SECONDS, 0, YEARS);
        let killed = self.seconds(&KEEP_FAILED_SECONDS, 0, YEARS);
        let jobs = self.number(&KEEP_JOBS, 1000, 1_000_000_000);
        let late = self.seconds(&LATE_SECONDS, 1, 86_400);
        let retention = Retention { done: done?, killed: killed?, jobs: jobs? };
        let thresholds = Thresholds { late: late?, horizon: late? };
        Some(Queue { lease: lease?, max_crashes: max_crashes?, retention, thresholds })
    }

    fn log(&mut self) -> Option<Log> {
        let filter = self.required(&LOG, |text| match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("a filter such as info or darkroom_worker=debug,warn".to_owned()),
        });
        let format = self.required(&LOG_FORMAT, |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("text or json".to_owned()),
        });
        Some(Log { filter: filter?, format: format? })
    }
}

fn parse<T: FromStr>(expected: &'static str) -> impl Fn(&str) -> Result<T, String> {
    move |text| text.parse().map_err(|_| expected.to_owned())
}

/// 0 as "none".
fn non_zero<T: PartialEq + Default>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn http_url(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim_end_matches('/')) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.query().is_none() => Ok(url),
        _ => Err("a URL that begins with http:// or https://".to_owned()),
    }
}

fn s3_url(text: &str) -> Result<S3Url, String> {
    let expected = || "a URL such as s3://bucket/prefix".to_owned();
    let (bucket, prefix) =
        text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(expected)?;
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    let named = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    // Keys stay under 162 bytes with the prefix: some S3 servers that keep files refuse longer ones.
    let prefix = prefix.trim_matches('/');
    let plain = prefix.len() <= 60 && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    if named && plain { Ok(S3Url { bucket: bucket.to_owned(), prefix: prefix.to_owned() }) } else { Err(expected()) }
}

fn staging_url(text: &str) -> Result<StagingUrl, String> {
    if let Some(path) = text.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.is_empty() {
            return Ok(StagingUrl::Directory(PathBuf::from(path)));
        }
    }
    s3_url(text).map(StagingUrl::Bucket).map_err(|_| "file:///directory or s3://bucket/prefix".to_owned())
}

/// A URL's text with `***` for the password in it.
fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            if url.set_password(Some("***")).is_err() {
                return "***".to_owned();
            }
            url.to_string()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let mut map: HashMap<String, String> =
            [("DATABASE_URL", "postgres://me:hunter2@localhost/darkroom"), ("BUCKET_URL", "s3://pictures/site-a")]
                .iter()
                .chain(pairs)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
        map.retain(|_, value| value != "(unset)");
        Settings::read(&|name| map.get(name).cloned())
    }

    #[test]
    fn two_settings_are_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.bucket.url, S3Url { bucket: "pictures".into(), prefix: "site-a".into() });
        assert_eq!(settings.staging, StagingUrl::Directory("data/staging".into()));
        assert_eq!(settings.limits, Limits { bytes: 32 << 20, pixels: 100_000_000, frames: 1000 });
        assert!(settings.worker.concurrency >= 1);
        assert_eq!(settings.queue.retention, Retention::default());
        assert_eq!(settings.queue.thresholds, Thresholds::default());
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let told = read(&[
            ("DATABASE_URL", "(unset)"),
            ("BUCKET_URL", "https://pictures"),
            ("BIND", "8000"),
            ("MAX_FRAMES", "0"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("LOG", "a=b=c"),
        ])
        .unwrap_err()
        .to_string();
        for name in ["DATABASE_URL is not set", "BUCKET_URL must", "BIND must", "MAX_FRAMES must", "SECRET", "LOG must"]
        {
            assert!(told.contains(name), "{name} in {told}");
        }
    }

    #[test]
    fn a_pooler_and_migrations_at_start_do_not_go_together() {
        let told = read(&[("DATABASE_POOLER", "true")]).unwrap_err().to_string();
        assert!(told.contains("MIGRATE_ON_START must be false"), "{told}");
        assert!(read(&[("DATABASE_POOLER", "true"), ("MIGRATE_ON_START", "false")]).unwrap().database.pooler);
    }

    #[test]
    fn the_seed_applications_names_work() {
        let settings = read(&[
            ("BUCKET_URL", "(unset)"),
            ("AWS_STORAGE_BUCKET_NAME", "pictures"),
            ("AWS_S3_REGION_NAME", "eu-central-1"),
        ])
        .unwrap();
        assert_eq!(settings.bucket.url.bucket, "pictures");
        assert_eq!(settings.bucket.access.region, "eu-central-1");
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        assert_eq!(read(&[("BIND", " ")]).unwrap().bind.port(), 8000);
    }

    #[test]
    fn staging_is_a_directory_or_a_bucket() {
        let staging = |url| read(&[("STAGING_URL", url)]).map(|settings| settings.staging).ok();
        assert_eq!(staging("file:///var/spool/x"), Some(StagingUrl::Directory("/var/spool/x".into())));
        assert_eq!(
            staging("s3://other/in"),
            Some(StagingUrl::Bucket(S3Url { bucket: "other".into(), prefix: "in".into() }))
        );
        assert_eq!(staging("/var/spool/x"), None);
    }

    #[test]
    fn secrets_are_never_printed() {
        let pairs =
            [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter3"), ("AWS_SESSION_TOKEN", "hunter4")];
        let settings = format!("{:?}", read(&pairs).unwrap());
        let in_force = Settings::in_force(&|name| match name {
            "DATABASE_URL" => Some("postgres://me:hunter2@localhost/darkroom".to_owned()),
            _ => pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()),
        });
        let printed = format!("{settings}{in_force:?}");
        assert!(!printed.contains("hunter"), "{printed}");
        assert!(printed.contains("AKIA"));
    }

    #[test]
    fn help_lists_every_setting() {
        let help = help();
        assert!(SETTINGS.iter().all(|setting| help.contains(setting.name)));
    }

    /// `UPDATE_DOCS=1 cargo test -p darkroom-shared docs` rewrites the page.
    #[test]
    fn the_docs_list_every_setting() {
        let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let row = |setting: &Setting| {
            let default = setting.default.map_or_else(String::new, |value| format!("`{value}`"));
            let also = code(setting.aliases);
            format!("| `{}` | {default} | {} | {also} |\n", setting.name, setting.help)
        };
        let page = "# Settings\n\nFrom the environment, the same for the api and the worker. They are checked at start, \
                    and all mistakes are told\nat once. `darkroom-api config` prints what is in force, without secrets.\n\n\
                    | setting | default | meaning | other names |\n|---|---|---|---|\n"
            .to_owned()
            + &SETTINGS.iter().map(row).collect::<String>();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        if env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            page,
            "run UPDATE_DOCS=1 cargo test -p darkroom-shared docs"
        );
    }
}
