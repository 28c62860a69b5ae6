//! Uploads kept in a directory.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use tokio::fs;

use darkroom_model::ImageId;

use super::{
    StagedFile, StagingError,
    draft::Received,
    name::{file_name, image_of},
};

/// A directory of staged files.
#[derive(Clone, Debug)]
pub(super) struct DirectoryStore(Arc<PathBuf>);

impl DirectoryStore {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(Arc::new(directory))
    }

    fn path(&self, image: ImageId) -> PathBuf {
        self.0.join(file_name(image))
    }

    pub(super) async fn keep(&self, received: Received, image: ImageId) -> Result<(), StagingError> {
        received.file.sync_all().await.map_err(StagingError::disk("flush an upload"))?;
        let (directory, to, draft) = (Arc::clone(&self.0), self.path(image), received.path);
        let rename = move || -> io::Result<()> {
            draft.persist(to).map_err(|error| error.error)?;
            // A rename is durable only after an fsync of the directory.
            std::fs::File::open(&*directory)?.sync_all()
        };
        run_blocking(rename).await.map_err(StagingError::disk("keep an upload"))
    }

    pub(super) async fn read(&self, image: ImageId) -> Result<Bytes, StagingError> {
        fs::read(self.path(image)).await.map(Bytes::from).map_err(StagingError::disk("read an upload"))
    }

    pub(super) async fn remove(&self, image: ImageId) -> Result<(), StagingError> {
        fs::remove_file(self.path(image)).await.map_err(StagingError::disk("remove an upload"))
    }

    pub(super) async fn list(&self) -> Result<BoxStream<'static, Result<StagedFile, StagingError>>, StagingError> {
        list_directory(self.0.to_path_buf()).await
    }
}

/// The files of a directory with the id of an image, or another UUID, as their name.
pub(super) async fn list_directory(
    directory: PathBuf,
) -> Result<BoxStream<'static, Result<StagedFile, StagingError>>, StagingError> {
    let entries = fs::read_dir(&directory).await.map_err(StagingError::disk("list uploads"))?;
    let files = futures::stream::try_unfold(entries, |mut entries| async move {
        while let Some(entry) = entries.next_entry().await.map_err(StagingError::disk("list uploads"))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(image) = image_of(&name) else { continue };
            // A file may be removed after it was listed.
            let meta = entry.metadata().await.and_then(|meta| Ok((meta.modified()?, meta.len())));
            let Ok((modified, bytes)) = meta else { continue };
            return Ok(Some((StagedFile { image: Some(image), modified: modified.into(), bytes, name }, entries)));
        }
        Ok(None)
    });
    Ok(files.boxed())
}

/// Runs file operations that block in a thread for them.
pub(super) async fn run_blocking<T: Send + 'static>(
    operation: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(operation).await.map_err(io::Error::other)?
}
