//! The S3 bucket of the renditions: put, get, delete, list, and the URLs by which clients fetch them.

mod key;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    Attribute, Attributes, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutOptions, aws::AmazonS3, path::Path,
    signer::Signer as _,
};
use url::Url;

use darkroom_model::{ImageId, OwnedImage, Owner, Rendition};

pub use key::ObjectKey;

use crate::{
    s3,
    settings::{BucketSettings, S3Access},
};

/// Browsers and CDNs may keep a rendition for ever, because its key contains the hash of its content.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// The key of the installation's marker, below the prefix. Hidden, so that it is not taken for an object of an image.
const MARKER: &str = ".darkroom-bucket.json";

/// Why the bucket did not do what was asked. Its text is for logs: it may contain host names and keys.
#[derive(Debug, thiserror::Error)]
#[error("the bucket cannot {action}: {source}")]
pub struct BucketError {
    action: &'static str,
    source: object_store::Error,
}

fn cannot(action: &'static str) -> impl Fn(object_store::Error) -> BucketError {
    move |source| BucketError { action, source }
}

/// An object found by listing.
#[derive(Debug)]
pub struct ListedObject {
    /// Its key.
    pub key: ObjectKey,
    /// When it was written, by the S3 server's clock.
    pub modified: DateTime<Utc>,
}

/// A client of the bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<AmazonS3>,
    /// Signs URLs with the address at which clients reach the server.
    signer: Arc<AmazonS3>,
    prefix: Path,
    presigned: Duration,
    public: Option<Url>,
}

impl Bucket {
    /// A client with these settings. Sends nothing yet; see [`Bucket::probe`].
    pub fn new(settings: &BucketSettings) -> Result<Self, BucketError> {
        let client = |access: &S3Access| s3::client(access, &settings.url.bucket).map_err(cannot("be configured"));
        let store = Arc::new(client(&settings.access)?);
        let signer = match &settings.signing_endpoint {
            None => Arc::clone(&store),
            Some(endpoint) => {
                let access = S3Access { endpoint: Some(endpoint.clone()), ..settings.access.clone() };
                Arc::new(client(&access)?)
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

    /// Checks that the bucket exists and may be listed.
    pub async fn probe(&self) -> Result<(), BucketError> {
        s3::probe(&*self.store, &self.prefix).await.map_err(cannot("be listed"))
    }

    /// The installation's marker; `None` if there is none.
    pub(crate) async fn read_marker(&self) -> Result<Option<Bytes>, BucketError> {
        let path = self.below_prefix(MARKER);
        s3::read_marker(&*self.store, &path).await.map_err(cannot("read the installation's marker"))
    }

    /// Writes the installation's marker. Unless it `overwrites`, a marker that exists is kept.
    pub(crate) async fn write_marker(&self, bytes: Bytes, overwrites: bool) -> Result<(), BucketError> {
        let path = self.below_prefix(MARKER);
        let written = s3::write_marker(&*self.store, &path, bytes, overwrites).await;
        written.map_err(cannot("write the installation's marker"))
    }

    /// Whether the bucket has no object of an image.
    pub(crate) async fn is_empty(&self) -> Result<bool, BucketError> {
        let folder = self.below_prefix(key::IMAGES);
        let first = self.store.list(Some(&folder)).next().await.transpose();
        first.map(|object| object.is_none()).map_err(cannot("list objects"))
    }

    /// Stores a rendition. Storing the same rendition again changes nothing.
    pub async fn put(&self, owner: Owner, id: ImageId, rendition: &Rendition, bytes: Bytes) -> Result<(), BucketError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, rendition.format.content_type()),
            (Attribute::CacheControl, CACHE_CONTROL),
        ]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let path = self.path(&ObjectKey::rendition(owner, id, rendition));
        self.store.put_opts(&path, bytes.into(), options).await.map_err(cannot("store an object"))?;
        Ok(())
    }

    /// The bytes of a rendition, at most as many as the catalog says it has. An object that is gone is an error.
    pub async fn get(&self, owner: Owner, id: ImageId, rendition: &Rendition) -> Result<Bytes, BucketError> {
        let path = self.path(&ObjectKey::rendition(owner, id, rendition));
        self.store.get_range(&path, 0..rendition.bytes).await.map_err(cannot("read an object"))
    }

    /// Deletes objects. An object that is gone already counts as deleted.
    pub async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BucketError> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        let deleted = self.store.delete_stream(futures::stream::iter(paths).boxed()).filter(|result| {
            let is_gone = matches!(result, Err(object_store::Error::NotFound { .. }));
            futures::future::ready(!is_gone)
        });
        deleted.try_for_each(|_| futures::future::ok(())).await.map_err(cannot("delete objects"))
    }

    /// The objects of one image.
    pub async fn list_image(&self, owner: Owner, id: ImageId) -> Result<Vec<ListedObject>, BucketError> {
        let folder = self.below_prefix(&ObjectKey::folder(OwnedImage { owner, id }));
        self.objects(self.store.list(Some(&folder))).try_collect().await
    }

    /// The objects of every image after this key, in the order of their keys. Objects that belong to no image by their
    /// key are left out.
    pub fn list_all(&self, after: Option<&ObjectKey>) -> BoxStream<'_, Result<ListedObject, BucketError>> {
        let folder = self.below_prefix(key::IMAGES);
        let listed = match after {
            None => self.store.list(Some(&folder)),
            Some(after) => self.store.list_with_offset(Some(&folder), &self.path(after)),
        };
        self.objects(listed)
    }

    fn objects<'a>(
        &'a self,
        listed: BoxStream<'a, object_store::Result<ObjectMeta>>,
    ) -> BoxStream<'a, Result<ListedObject, BucketError>> {
        listed
            .map_err(cannot("list objects"))
            .try_filter_map(|meta| {
                let object = self.key(&meta.location).map(|key| ListedObject { key, modified: meta.last_modified });
                futures::future::ok(object)
            })
            .boxed()
    }

    /// Whether the URLs of renditions are below a public base URL: they do not expire.
    pub fn is_public(&self) -> bool {
        self.public.is_some()
    }

    /// The URL by which a client fetches a rendition: below the public base URL, or presigned.
    pub async fn url(&self, owner: Owner, id: ImageId, rendition: &Rendition) -> Result<Url, BucketError> {
        self.url_for(reqwest::Method::GET, owner, id, rendition).await
    }

    /// The URL for a HEAD request: a signature is valid for one method.
    pub async fn head_url(&self, owner: Owner, id: ImageId, rendition: &Rendition) -> Result<Url, BucketError> {
        self.url_for(reqwest::Method::HEAD, owner, id, rendition).await
    }

    async fn url_for(
        &self,
        method: reqwest::Method,
        owner: Owner,
        id: ImageId,
        rendition: &Rendition,
    ) -> Result<Url, BucketError> {
        let path = self.path(&ObjectKey::rendition(owner, id, rendition));
        match &self.public {
            Some(base) => {
                let mut url = base.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path.parts());
                }
                Ok(url)
            }
            None => self.signer.signed_url(method, &path, self.presigned).await.map_err(cannot("sign a URL")),
        }
    }

    fn path(&self, key: &ObjectKey) -> Path {
        self.below_prefix(&key.to_string())
    }

    fn below_prefix(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }

    fn key(&self, path: &Path) -> Option<ObjectKey> {
        let below = path.prefix_match(&self.prefix)?.collect::<Path>();
        ObjectKey::parse(below.as_ref())
    }
}
