//! What directories of staged files and of drafts share.

use std::{io, path::PathBuf};

use futures::{StreamExt as _, stream::BoxStream};
use tokio::fs;

use super::{StagedFile, StagingError, name::image_of};

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
