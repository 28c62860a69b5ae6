//! What directories of staged files and of drafts share.

use std::{io, path::PathBuf};

use futures::{StreamExt as _, stream::BoxStream};
use tokio::fs;

use darkroom_model::OwnedImage;

use super::{StagedFile, StagingError};

/// The files of a directory whose names `parse` takes, and the image that it returns for each.
pub(super) async fn list_directory(
    directory: PathBuf,
    parse: fn(&str) -> Option<Option<OwnedImage>>,
) -> Result<BoxStream<'static, Result<StagedFile, StagingError>>, StagingError> {
    let entries = fs::read_dir(&directory).await.map_err(StagingError::disk("list uploads"))?;
    let files = futures::stream::try_unfold(entries, move |mut entries| async move {
        while let Some(entry) = entries.next_entry().await.map_err(StagingError::disk("list uploads"))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(image) = parse(&name) else { continue };
            // A file may be removed after it was listed.
            let meta = entry.metadata().await.and_then(|meta| Ok((meta.modified()?, meta.len())));
            let Ok((modified, bytes)) = meta else { continue };
            return Ok(Some((StagedFile { image, modified: modified.into(), bytes, name }, entries)));
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
