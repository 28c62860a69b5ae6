//! Uploads kept in a directory.

use std::{
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::fs;

use darkroom_model::{ImageId, Owner};

use super::{
    MARKER, StagedFile, StagingError,
    draft::Received,
    files::{list_directory, run_blocking},
    name::{file_name, image_of},
};

/// A directory of staged files.
#[derive(Clone, Debug)]
pub(super) struct DirectoryStore(Arc<PathBuf>);

impl DirectoryStore {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(Arc::new(directory))
    }

    fn path(&self, owner: Owner, id: ImageId) -> PathBuf {
        self.0.join(file_name(owner, id))
    }

    pub(super) async fn keep(&self, received: Received, owner: Owner, id: ImageId) -> Result<(), StagingError> {
        let (directory, to) = (Arc::clone(&self.0), self.path(owner, id));
        let (file, draft) = (received.file.into_std().await, received.path);
        let keep = move || -> io::Result<()> {
            // The rename first: a journaling file system writes it out with the file, and then has little left to write. A
            // crash in between leaves part of a file that no image claims.
            draft.persist(to).map_err(|error| error.error)?;
            file.sync_all()?;
            // A rename is durable only after an fsync of the directory.
            std::fs::File::open(&*directory)?.sync_all()
        };
        run_blocking(keep).await.map_err(StagingError::disk("keep an upload"))
    }

    pub(super) async fn read_marker(&self) -> Result<Option<Bytes>, StagingError> {
        match fs::read(self.0.join(MARKER)).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StagingError::Disk { action: "read the installation's marker", source }),
        }
    }

    pub(super) async fn write_marker(&self, bytes: Bytes, overwrites: bool) -> Result<(), StagingError> {
        let directory = Arc::clone(&self.0);
        let write = move || write_durably(&directory, MARKER, &bytes, overwrites);
        let cannot_write = |source| StagingError::Disk { action: "write the installation's marker", source };
        run_blocking(write).await.map_err(cannot_write)
    }

    pub(super) async fn read(&self, owner: Owner, id: ImageId) -> Result<Bytes, StagingError> {
        fs::read(self.path(owner, id)).await.map(Bytes::from).map_err(StagingError::disk("read an upload"))
    }

    pub(super) async fn remove(&self, owner: Owner, id: ImageId) -> Result<(), StagingError> {
        fs::remove_file(self.path(owner, id)).await.map_err(StagingError::disk("remove an upload"))
    }

    pub(super) async fn list(&self) -> Result<BoxStream<'static, Result<StagedFile, StagingError>>, StagingError> {
        list_directory(self.0.to_path_buf(), |name| image_of(name).map(Some)).await
    }
}

/// Writes a whole file, so that it is never seen in part and survives a power cut. Unless it `overwrites`, a file that
/// exists is kept.
fn write_durably(directory: &Path, name: &str, bytes: &[u8], overwrites: bool) -> io::Result<()> {
    // The api and the workers may have different users.
    let permissions = std::fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let to = directory.join(name);
    match if overwrites { file.persist(to) } else { file.persist_noclobber(to) } {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        _ => {}
    }
    std::fs::File::open(directory)?.sync_all()
}
