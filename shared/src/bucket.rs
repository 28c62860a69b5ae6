//! The bucket that holds the renditions: put, delete, list, and the URLs clients fetch them by.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    Attribute, Attributes, ClientOptions, ObjectStore, ObjectStoreExt as _, PutOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    signer::Signer as _,
};
use url::Url;
use uuid::Uuid;

use darkroom_model::{ImageId, Rendition};

use crate::config;

/// How browsers and CDNs may keep a rendition: for ever, because its key has its content's hash in it.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// The bucket did not do what was asked. The cause is for logs: it may name hosts and keys.
#[derive(Debug, thiserror::Error)]
#[error("the bucket cannot {action}: {source}")]
pub struct BucketError {
    action: &'static str,
    source: object_store::Error,
}

fn failed(action: &'static str) -> impl Fn(object_store::Error) -> BucketError {
    move |source| BucketError { action, source }
}

/// Where an object lies, below the bucket's prefix. Only made from what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// `images/<image>/<name>-<hash>.<extension>`: a rerun that makes the same bytes writes the same key, one that
    /// makes others overwrites nothing.
    #[must_use]
    pub fn rendition(image: ImageId, rendition: &Rendition) -> Self {
        let stem = rendition.name.split('.').next().unwrap_or_default();
        let hash = hex::encode(&rendition.sha256[..8]);
        Self(format!("images/{image}/{stem}-{hash}.{}", rendition.format))
    }

    /// The image an object belongs to; `None` for an object that is not ours.
    #[must_use]
    pub fn image(&self) -> Option<ImageId> {
        let (image, _) = self.0.strip_prefix("images/")?.split_once('/')?;
        Uuid::try_parse(image).ok().map(ImageId::from_uuid)
    }

    /// The key as text, for logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object found by listing.
#[derive(Debug)]
pub struct Listed {
    /// Where it lies.
    pub key: ObjectKey,
    /// When it was written, by the S3 server's clock.
    pub modified: DateTime<Utc>,
}

/// A client of the bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<AmazonS3>,
    signer: Arc<AmazonS3>,
    prefix: Path,
    presigned: Duration,
    public: Option<Url>,
}

impl Bucket {
    /// A client by these settings. Nothing is sent yet; see [`Bucket::probe`].
    pub fn new(settings: &config::Bucket) -> Result<Self, BucketError> {
        let store = Arc::new(s3(&settings.access, &settings.url.bucket)?);
        let signer = match &settings.signing_endpoint {
            None => Arc::clone(&store),
            Some(endpoint) => {
                let access = config::S3Access { endpoint: Some(endpoint.clone()), ..settings.access.clone() };
                Arc::new(s3(&access, &settings.url.bucket)?)
            }
        };
        Ok(Self {
            store,
            signer,
            prefix: Path::from(settings.url.prefix.as_str()),
            presigned: settings.presigned,
            public: settings.public.clone(),
        })
    }

    /// Asks whether the bucket is there and may be listed.
    pub async fn probe(&self) -> Result<(), BucketError> {
        probe(&*self.store, &self.prefix).await
    }

    /// Stores a rendition. Putting the same rendition again changes nothing.
    pub async fn put(&self, image: ImageId, rendition: &Rendition, bytes: Bytes) -> Result<(), BucketError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, rendition.format.content_type()),
            (Attribute::CacheControl, CACHE_CONTROL),
        ]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let path = self.path(&ObjectKey::rendition(image, rendition));
        self.store.put_opts(&path, bytes.into(), options).await.map_err(failed("store an object"))?;
        Ok(())
    }

    /// A rendition's bytes, and no more of them than the catalog says there are. Fails where the object is gone, too.
    pub async fn get(&self, image: ImageId, rendition: &Rendition) -> Result<Bytes, BucketError> {
        let path = self.path(&ObjectKey::rendition(image, rendition));
        self.store.get_range(&path, 0..rendition.bytes).await.map_err(failed("read an object"))
    }

    /// Removes objects; those that are gone already count as removed.
    pub async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BucketError> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        let deleted = self.store.delete_stream(futures::stream::iter(paths).boxed()).filter(|result| {
            let gone = matches!(result, Err(object_store::Error::NotFound { .. }));
            futures::future::ready(!gone)
        });
        deleted.try_for_each(|_| futures::future::ok(())).await.map_err(failed("delete objects"))
    }

    /// The objects of one image.
    pub async fn list_image(&self, image: ImageId) -> Result<Vec<ObjectKey>, BucketError> {
        self.list(&format!("images/{image}")).map_ok(|listed| listed.key).try_collect().await
    }

    /// Every object of every image, in pages.
    pub fn list_all(&self) -> BoxStream<'_, Result<Listed, BucketError>> {
        self.list("images")
    }

    fn list(&self, below: &str) -> BoxStream<'_, Result<Listed, BucketError>> {
        let prefix = self.path(&ObjectKey(below.to_owned()));
        self.store
            .list(Some(&prefix))
            .map_err(failed("list objects"))
            .map_ok(|meta| Listed { key: self.key(&meta.location), modified: meta.last_modified })
            .boxed()
    }

    /// Where a client fetches a rendition: below the public base URL, or presigned for the time set.
    pub async fn url(&self, image: ImageId, rendition: &Rendition) -> Result<Url, BucketError> {
        self.url_for(reqwest::Method::GET, image, rendition).await
    }

    /// The same for a HEAD request: a signature is valid for one method.
    pub async fn head_url(&self, image: ImageId, rendition: &Rendition) -> Result<Url, BucketError> {
        self.url_for(reqwest::Method::HEAD, image, rendition).await
    }

    async fn url_for(
        &self,
        method: reqwest::Method,
        image: ImageId,
        rendition: &Rendition,
    ) -> Result<Url, BucketError> {
        let path = self.path(&ObjectKey::rendition(image, rendition));
        match &self.public {
            Some(base) => {
                let mut url = base.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path.parts());
                }
                Ok(url)
            }
            None => self.signer.signed_url(method, &path, self.presigned).await.map_err(failed("sign a URL")),
        }
    }

    fn path(&self, key: &ObjectKey) -> Path {
        self.prefix.parts().chain(Path::from(key.as_str()).parts()).collect()
    }

    fn key(&self, path: &Path) -> ObjectKey {
        let below = path.prefix_match(&self.prefix).map(|parts| parts.collect::<Path>().to_string());
        ObjectKey(below.unwrap_or_else(|| path.to_string()))
    }
}

/// A client of any bucket that the same server and key reach.
pub(crate) fn s3(access: &config::S3Access, bucket: &str) -> Result<AmazonS3, BucketError> {
    // Fails only when another part of the process chose first, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain_http = access.endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&access.region)
        .with_allow_http(plain_http)
        .with_retry(RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() })
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(plain_http)
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
    builder.build().map_err(failed("be configured"))
}

/// The variables by which ECS and EKS tell a process where its credentials are.
fn with_machine_credentials(builder: AmazonS3Builder) -> AmazonS3Builder {
    const FROM_THE_PLATFORM: [&str; 7] = [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_ENDPOINT_URL_STS",
    ];
    FROM_THE_PLATFORM.iter().fold(builder, |builder, name| match (std::env::var(name), name.to_lowercase().parse()) {
        (Ok(value), Ok(key)) => builder.with_config(key, value),
        _ => builder,
    })
}

/// Asks for at most one object below `prefix`.
pub(crate) async fn probe(store: &dyn ObjectStore, prefix: &Path) -> Result<(), BucketError> {
    store.list(Some(prefix)).next().await.transpose().map_err(failed("be listed"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use darkroom_model::RenditionFormat;

    use super::*;

    fn rendition() -> Rendition {
        Rendition {
            name: "w800.webp".to_owned(),
            format: RenditionFormat::Webp,
            width: 800,
            height: 600,
            bytes: 1,
            sha256: [0xab; 32],
        }
    }

    #[test]
    fn a_key_names_its_image_and_its_content() {
        let image = ImageId::now();
        let key = ObjectKey::rendition(image, &rendition());
        assert_eq!(key.as_str(), format!("images/{image}/w800-abababababababab.webp"));
        assert_eq!(key.image(), Some(image));
        assert_eq!(ObjectKey("images/not-an-id/x".to_owned()).image(), None);
    }
}
