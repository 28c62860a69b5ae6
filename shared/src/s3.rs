//! A client of any bucket on an S3 server: of the renditions' and of staging's.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutMode, Result, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};

use crate::settings::S3Access;

/// A client of a bucket. Sends nothing yet; see [`probe`].
///
/// A request is retried 3 times within 30 s. Connecting may take 5 s, a request 60 s.
pub(crate) fn client(access: &S3Access, bucket: &str) -> Result<AmazonS3> {
    // Fails only if the process has installed a provider already, and any provider works.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_plain_http = access.endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&access.region)
        .with_allow_http(is_plain_http)
        .with_retry(RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() })
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(is_plain_http)
                .with_connect_timeout(Duration::from_secs(5))
                .with_timeout(Duration::from_mins(1)),
        );
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    match &access.key {
        Some(key) => {
            builder = builder.with_access_key_id(&key.id).with_secret_access_key(key.secret.expose());
            if let Some(token) = &key.session_token {
                builder = builder.with_token(token.expose());
            }
        }
        None => builder = with_machine_credentials(builder),
    }
    builder.build()
}

/// Adds the credentials of the instance, task or pod: the variables that ECS and EKS set for them.
fn with_machine_credentials(builder: AmazonS3Builder) -> AmazonS3Builder {
    const VARIABLES: [&str; 7] = [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_ENDPOINT_URL_STS",
    ];
    VARIABLES.iter().fold(builder, |builder, name| match (std::env::var(name), name.to_lowercase().parse()) {
        (Ok(value), Ok(key)) => builder.with_config(key, value),
        _ => builder,
    })
}

/// Checks that the bucket exists and may be listed, by listing at most one object below `prefix`.
pub(crate) async fn probe(store: &dyn ObjectStore, prefix: &Path) -> Result<()> {
    store.list(Some(prefix)).next().await.transpose().map(drop)
}

/// Maximum length of a marker that is read, in bytes.
const MAX_MARKER: u64 = 4096;

/// The content of a small object; `None` if there is none, and empty if it is too long to be a marker.
pub(crate) async fn read_marker(store: &dyn ObjectStore, path: &Path) -> Result<Option<Bytes>> {
    match store.get(path).await {
        Ok(object) if object.meta.size > MAX_MARKER => Ok(Some(Bytes::new())),
        Ok(object) => object.bytes().await.map(Some),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a small object. Unless it `overwrites`, an object that exists is kept.
pub(crate) async fn write_marker(store: &dyn ObjectStore, path: &Path, bytes: Bytes, overwrites: bool) -> Result<()> {
    if !overwrites {
        match store.put_opts(path, bytes.clone().into(), PutMode::Create.into()).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => return Ok(()),
            // This S3 server has no conditional writes; the caller reads what it has written.
            Err(Error::NotImplemented { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    store.put(path, bytes.into()).await.map(drop)
}
