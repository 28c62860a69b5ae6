//! Setting of staging.

use std::{fmt, path::PathBuf};

use super::{
    parse::{S3Url, s3_url},
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    STAGING_URL = Setting::with_default("file:data/staging", "Where uploads wait until they are rendered: file:///directory, or s3://bucket/prefix if workers run on other machines.");
}

/// Where uploads wait until they are rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StagingUrl {
    /// A directory that the api and every worker see.
    Directory(PathBuf),
    /// A bucket or a prefix in one, on the S3 server of the renditions and with its key.
    Bucket(S3Url),
}

impl StagingUrl {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.required(&STAGING_URL, |text| {
            if let Some(path) = text.strip_prefix("file:") {
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.is_empty() {
                    // Absolute, so that the log says which directory it is.
                    let absolute = std::path::absolute(path).map_err(|_| "an absolute path".to_owned())?;
                    return Ok(Self::Directory(absolute));
                }
            }
            s3_url(text).map(Self::Bucket).map_err(|_| "file:///directory or s3://bucket/prefix".to_owned())
        })
    }
}

impl fmt::Display for StagingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "file://{}", directory.display()),
            Self::Bucket(url) => write!(f, "s3://{}/{}", url.bucket, url.prefix),
        }
    }
}
