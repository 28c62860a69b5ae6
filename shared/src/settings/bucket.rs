//! Settings of the bucket, and of the S3 server and key that the bucket and staging share.

use std::time::Duration;

use url::Url;

use super::{
    parse::{S3Url, http_url, s3_url},
    reader::Reader,
    secret::Secret,
    setting::{Setting, declare_settings},
};

declare_settings! {
    BUCKET_URL = Setting::new("Bucket of the renditions, s3://bucket/prefix. Required.").aliases(&["AWS_STORAGE_BUCKET_NAME"]);
    AWS_REGION = Setting::with_default("us-east-1", "Region of the bucket.").aliases(&["AWS_S3_REGION_NAME", "AWS_DEFAULT_REGION"]);
    AWS_ENDPOINT_URL = Setting::new("Address of an S3 server other than Amazon's. Plain http:// is allowed here.").aliases(&["AWS_ENDPOINT_URL_S3"]);
    AWS_ACCESS_KEY_ID = Setting::new("Access key of the bucket. Without it, the role of the instance, task or pod is used.");
    AWS_SECRET_ACCESS_KEY = Setting::new("Secret of that access key.").secret();
    AWS_SESSION_TOKEN = Setting::new("Session token of temporary credentials.").secret();
    SIGNING_ENDPOINT_URL = Setting::new("Address of the S3 server in presigned URLs, if clients reach it at another address.");
    PRESIGNED_URL_SECONDS = Setting::with_default("3600", "Lifetime of a presigned URL, 1 to 604800.");
    PUBLIC_BUCKET_URL = Setting::new("Base URL of a CDN or a public bucket. Rendition URLs then begin with it and are not signed.");
}

/// Where renditions are stored, and by which URLs clients fetch them.
#[derive(Debug, Clone)]
pub struct BucketSettings {
    /// The bucket and the prefix in it.
    pub url: S3Url,
    /// The server and the key.
    pub access: S3Access,
    /// The server's address in presigned URLs, if it is not `access.endpoint`.
    pub signing_endpoint: Option<Url>,
    /// Lifetime of a presigned URL.
    pub presigned: Duration,
    /// Base URL of the CDN, without a slash at its end.
    pub public: Option<Url>,
}

/// An S3 server and the key for it.
#[derive(Debug, Clone)]
pub struct S3Access {
    /// The server's region.
    pub region: String,
    /// `None`: Amazon's.
    pub endpoint: Option<Url>,
    /// `None`: the credentials of the machine's environment (EC2, ECS, EKS).
    pub key: Option<S3Key>,
}

/// A key pair for S3.
#[derive(Debug, Clone)]
pub struct S3Key {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: Secret,
    /// Session token, if the credentials are temporary.
    pub session_token: Option<Secret>,
}

impl BucketSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = reader.required(&BUCKET_URL, |text| {
            // AWS_STORAGE_BUCKET_NAME is a bare name.
            if text.contains("://") { s3_url(text) } else { s3_url(&format!("s3://{text}")) }
        });
        let access = S3Access::read(reader);
        let signing_endpoint = reader.optional(&SIGNING_ENDPOINT_URL, http_url);
        // S3 refuses presigned URLs that live longer than a week.
        let presigned = reader.seconds(&PRESIGNED_URL_SECONDS, 1, 604_800);
        let public = reader.optional(&PUBLIC_BUCKET_URL, http_url);
        Some(Self { url: url?, access: access?, signing_endpoint, presigned: presigned?, public })
    }
}

impl S3Access {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let text = |text: &str| Ok(text.to_owned());
        let secret = |text: &str| Ok(Secret::from(text));
        let region = reader.required(&AWS_REGION, text);
        let endpoint = reader.optional(&AWS_ENDPOINT_URL, http_url);
        let id = reader.optional(&AWS_ACCESS_KEY_ID, text);
        let secret_key = reader.optional(&AWS_SECRET_ACCESS_KEY, secret);
        let session_token = reader.optional(&AWS_SESSION_TOKEN, secret);
        let key = match (id, secret_key) {
            (Some(id), Some(secret)) => Some(S3Key { id, secret, session_token }),
            (None, None) => None,
            _ => {
                reader.error("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both or none");
                None
            }
        };
        Some(Self { region: region?, endpoint, key })
    }
}
