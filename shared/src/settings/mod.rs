//! Every setting of both binaries: its name, default, description and check.
//!
//! Settings come from the environment only. All of them are read and checked at start, and all errors are reported at
//! once. Secrets are held as [`Secret`], which cannot be printed.
//!
//! | file | what it holds |
//! |---|---|
//! | `database.rs`, `bucket.rs`, `staging.rs`, `upload_limits.rs`, `quotas.rs`, `queue.rs` | a group of settings that both binaries read |
//! | `api.rs`, `access.rs`, `api_limits.rs`, `worker.rs` | the settings of one binary |
//! | `process.rs` | logs and the grace period, of both binaries |
//! | `setting.rs` | the declaration of one setting |
//! | `reader.rs`, `parse.rs` | reading and checking values |
//! | `print.rs` | settings as text: help, values in force, docs/settings.md |

mod access;
mod api;
mod api_limits;
mod bucket;
mod database;
mod parse;
mod print;
mod process;
mod queue;
mod quotas;
mod reader;
mod secret;
mod setting;
mod staging;
mod upload_limits;
mod worker;

pub use access::{AccessSettings, AuthMode};
pub use api::ApiSettings;
pub use api_limits::{ApiLimits, StagingLimits};
pub use bucket::{BucketSettings, S3Access, S3Key};
pub use database::DatabaseSettings;
pub use parse::S3Url;
pub use print::{help, in_force};
pub use process::{LogFormat, LogSettings};
pub use queue::QueueSettings;
pub use quotas::QuotaSettings;
pub use secret::Secret;
pub use setting::Setting;
pub use staging::StagingUrl;
pub use upload_limits::UploadLimits;
pub use worker::{SweepLimits, WorkerSettings};

use reader::Reader;

/// Settings that belong together.
#[derive(Debug)]
pub struct Group {
    /// Heading in the docs.
    pub title: &'static str,
    /// The settings, in the order of the docs.
    pub settings: &'static [Setting],
}

/// Every setting, in the order of the docs.
pub const GROUPS: &[Group] = &[
    Group { title: "Database", settings: database::SETTINGS },
    Group { title: "Bucket", settings: bucket::SETTINGS },
    Group { title: "Staging", settings: staging::SETTINGS },
    Group { title: "Api", settings: api::SETTINGS },
    Group { title: "Access to the api", settings: access::SETTINGS },
    Group { title: "Limits of the api", settings: api_limits::SETTINGS },
    Group { title: "Uploads", settings: upload_limits::SETTINGS },
    Group { title: "Quotas and idempotency", settings: quotas::SETTINGS },
    Group { title: "Worker", settings: worker::SETTINGS },
    Group { title: "Queue", settings: queue::SETTINGS },
    Group { title: "Logs and shutdown", settings: process::SETTINGS },
];

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Postgres, of the catalog and the queue.
    pub database: DatabaseSettings,
    /// The bucket of the renditions.
    pub bucket: BucketSettings,
    /// Where uploads wait until they are rendered.
    pub staging: StagingUrl,
    /// Limits on uploads.
    pub limits: UploadLimits,
    /// What each owner and each key may use.
    pub quotas: QuotaSettings,
    /// The api alone.
    pub api: ApiSettings,
    /// The worker alone.
    pub worker: WorkerSettings,
    /// The queue.
    pub queue: QueueSettings,
    /// Logs.
    pub log: LogSettings,
}

/// Every error in the environment, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(Vec<String>);

impl Settings {
    /// Reads and checks the environment of this process.
    ///
    /// # Errors
    /// Every setting that is missing or invalid.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads and checks settings from `lookup`.
    ///
    /// # Errors
    /// Every setting that is missing or invalid.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = Self::read_groups(&mut reader);
        let errors = reader.into_errors();
        settings.filter(|_| errors.is_empty()).ok_or(SettingsError(errors))
    }

    /// Reads every group before it gives up on any, so that the errors of all are reported.
    fn read_groups(reader: &mut Reader<'_>) -> Option<Self> {
        let database = DatabaseSettings::read(reader);
        let bucket = BucketSettings::read(reader);
        let staging = StagingUrl::read(reader);
        check_staging_is_private(reader, bucket.as_ref(), staging.as_ref());
        let limits = UploadLimits::read(reader);
        let quotas = QuotaSettings::read(reader);
        let drain = process::read_drain(reader);
        let api = ApiSettings::read(reader, drain);
        let worker = WorkerSettings::read(reader, drain);
        let queue = QueueSettings::read(reader);
        let log = LogSettings::read(reader);
        Some(Self {
            database: database?,
            bucket: bucket?,
            staging: staging?,
            limits: limits?,
            quotas: quotas?,
            api: api?,
            worker: worker?,
            queue: queue?,
            log: log?,
        })
    }
}

/// Refuses staging in a public bucket: originals have metadata that renditions have not, such as GPS coordinates.
fn check_staging_is_private(reader: &mut Reader<'_>, bucket: Option<&BucketSettings>, staging: Option<&StagingUrl>) {
    let Some((bucket, StagingUrl::Bucket(staging))) = bucket.zip(staging) else { return };
    // The public base URL is that of the whole bucket, whatever the prefix of the renditions.
    if bucket.public.is_some() && bucket.url.bucket == staging.bucket {
        reader.error("STAGING_URL must name another bucket: PUBLIC_BUCKET_URL would publish the originals in this one");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use darkroom_queue::{Retention, Thresholds};

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
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
        assert_eq!(settings.staging, StagingUrl::Directory(std::path::absolute("data/staging").unwrap()));
        assert_eq!(settings.limits, UploadLimits { bytes: 32 << 20, pixels: 100_000_000, frames: 1000 });
        assert!(settings.worker.concurrency >= 1);
        assert_eq!(settings.queue.retention, Retention::default());
        assert_eq!(settings.queue.thresholds, Thresholds::default());
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let error = read(&[
            ("DATABASE_URL", "(unset)"),
            ("BUCKET_URL", "https://pictures"),
            ("BIND", "8000"),
            ("MAX_FRAMES", "0"),
            ("AUTH", "none"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("LOG", "a=b=c"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "DATABASE_URL is not set",
            "BUCKET_URL must",
            "BIND must",
            "MAX_FRAMES must",
            "AUTH must be on or off",
            "SECRET",
            "LOG must",
        ] {
            assert!(error.contains(name), "{name} in {error}");
        }
    }

    #[test]
    fn migrations_at_start_are_refused_with_a_pooler() {
        let error = read(&[("DATABASE_POOLER", "true")]).unwrap_err().to_string();
        assert!(error.contains("MIGRATE_ON_START must be false"), "{error}");
        assert!(read(&[("DATABASE_POOLER", "true"), ("MIGRATE_ON_START", "false")]).unwrap().database.pooler);
    }

    #[test]
    fn aliases_of_a_setting_work() {
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
    fn a_quota_of_none_or_0_is_no_limit() {
        let stored = |value| read(&[("MAX_STORED_IMAGES", value)]).map(|settings| settings.quotas.owner.stored_images);
        assert_eq!(stored("none").unwrap(), None);
        assert_eq!(stored("0").unwrap(), None);
        assert_eq!(stored("12").unwrap(), Some(12));
        for mistyped in ["unlimited", "-1", "1.5", "1G", "99999999999999"] {
            let error = stored(mistyped).unwrap_err().to_string();
            assert!(error.contains("MAX_STORED_IMAGES must be none, or a whole number"), "{mistyped}: {error}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        assert_eq!(read(&[("BIND", " ")]).unwrap().api.bind.port(), 8000);
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
    fn staging_in_a_public_bucket_is_refused() {
        let public = ("PUBLIC_BUCKET_URL", "https://cdn.example");
        for staging in ["s3://pictures/site-a", "s3://pictures/site-a/in", "s3://pictures/elsewhere"] {
            let error = read(&[public, ("STAGING_URL", staging)]).unwrap_err().to_string();
            assert!(error.contains("STAGING_URL must name another bucket"), "{error}");
            read(&[("STAGING_URL", staging)]).unwrap();
        }
        read(&[public, ("STAGING_URL", "s3://private/in")]).unwrap();
        read(&[public]).unwrap();
    }

    #[test]
    fn a_relative_staging_directory_becomes_absolute() {
        let StagingUrl::Directory(directory) = read(&[("STAGING_URL", "file:in")]).unwrap().staging else { panic!() };
        assert!(directory.is_absolute() && directory.ends_with("in"), "{directory:?}");
    }

    #[test]
    fn secrets_are_never_printed() {
        let pairs =
            [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter3"), ("AWS_SESSION_TOKEN", "hunter4")];
        let settings = format!("{:?}", read(&pairs).unwrap());
        let values = in_force(&|name| match name {
            "DATABASE_URL" => Some("postgres://me:hunter2@localhost/darkroom".to_owned()),
            _ => pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()),
        });
        let printed = format!("{settings}{values:?}");
        assert!(!printed.contains("hunter"), "{printed}");
        assert!(printed.contains("AKIA"));
    }
}
