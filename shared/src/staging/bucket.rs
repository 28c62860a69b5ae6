//! Uploads kept in a bucket.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{ObjectStore as _, ObjectStoreExt as _, aws::AmazonS3, path::Path};

use darkroom_model::{ImageId, Owner};

use super::{
    MARKER, StagedFile, StagingError,
    draft::Received,
    name::{file_name, image_of},
    object::store_object,
};
use crate::{
    s3,
    settings::{S3Access, S3Url},
};

/// A prefix of a bucket with staged files.
#[derive(Clone, Debug)]
pub(super) struct BucketStore {
    store: Arc<AmazonS3>,
    prefix: Path,
}

impl BucketStore {
    pub(super) fn open(url: &S3Url, access: &S3Access) -> Result<Self, StagingError> {
        let store = s3::client(access, &url.bucket).map_err(StagingError::bucket("be configured"))?;
        Ok(Self { store: Arc::new(store), prefix: Path::from(url.prefix.as_str()) })
    }

    fn key(&self, owner: Owner, id: ImageId) -> Path {
        self.prefix.clone().join(file_name(owner, id))
    }

    pub(super) async fn read_marker(&self) -> Result<Option<Bytes>, StagingError> {
        let marker = s3::read_marker(&*self.store, &self.prefix.clone().join(MARKER)).await;
        marker.map_err(|source| StagingError::Bucket { action: "read the installation's marker", source })
    }

    pub(super) async fn write_marker(&self, bytes: Bytes, overwrites: bool) -> Result<(), StagingError> {
        let path = self.prefix.clone().join(MARKER);
        let written = s3::write_marker(&*self.store, &path, bytes, overwrites).await;
        written.map_err(|source| StagingError::Bucket { action: "write the installation's marker", source })
    }

    pub(super) async fn probe(&self) -> Result<(), StagingError> {
        s3::probe(&*self.store, &self.prefix)
            .await
            .map_err(|source| StagingError::Bucket { action: "list its bucket", source })
    }

    pub(super) async fn keep(&self, received: Received, owner: Owner, id: ImageId) -> Result<(), StagingError> {
        store_object(&self.store, self.key(owner, id), received).await
    }

    pub(super) async fn read(&self, owner: Owner, id: ImageId) -> Result<Bytes, StagingError> {
        let cannot_read = StagingError::bucket("read an upload");
        let object = self.store.get(&self.key(owner, id)).await.map_err(&cannot_read)?;
        object.bytes().await.map_err(&cannot_read)
    }

    pub(super) async fn remove(&self, owner: Owner, id: ImageId) -> Result<(), StagingError> {
        self.store.delete(&self.key(owner, id)).await.map_err(StagingError::bucket("remove an upload"))
    }

    pub(super) fn list(&self) -> BoxStream<'_, Result<StagedFile, StagingError>> {
        self.store
            .list(Some(&self.prefix))
            .map_err(StagingError::bucket("list uploads"))
            .try_filter_map(|meta| {
                let name = meta.location.filename().unwrap_or_default().to_owned();
                let file = image_of(&name).map(|image| StagedFile {
                    image: Some(image),
                    modified: meta.last_modified,
                    bytes: meta.size,
                    name,
                });
                futures::future::ok(file)
            })
            .boxed()
    }
}
