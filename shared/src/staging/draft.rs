//! An upload while it arrives.

use std::{io, path::PathBuf, sync::Arc};

use futures::stream::BoxStream;
use sha2::{Digest as _, Sha256};
use tempfile::{TempDir, TempPath};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};
use uuid::Uuid;

use super::{
    StagedFile, StagingError,
    files::{list_directory, run_blocking},
};

/// Bytes of a draft that are buffered in memory before they are written, so that fifty uploads at once take 6 MiB.
const BUFFER: usize = 128 << 10;

/// The directory of the drafts.
#[derive(Clone, Debug)]
pub(super) struct Drafts {
    directory: Arc<PathBuf>,
    /// Deletes a private directory with its last owner.
    _private: Option<Arc<TempDir>>,
}

impl Drafts {
    /// In a directory that other processes use too.
    pub(super) fn in_directory(directory: PathBuf) -> Self {
        Self { directory: Arc::new(directory), _private: None }
    }

    /// In a directory of this process, which is deleted when the last clone is dropped.
    pub(super) fn in_private_directory(private: TempDir) -> Self {
        Self { directory: Arc::new(private.path().to_path_buf()), _private: Some(Arc::new(private)) }
    }

    pub(super) async fn create(&self) -> Result<Draft, StagingError> {
        let path = self.directory.join(Uuid::now_v7().to_string());
        // `create_new` fails if the file exists, so no two uploads share one.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).await;
        let mut file = file.map_err(|source| StagingError::Disk { action: "begin an upload", source })?;
        file.set_max_buf_size(BUFFER);
        let path = TempPath::try_from_path(path).map_err(StagingError::disk("begin an upload"))?;
        Ok(Draft { file, path, hash: Sha256::new(), bytes: 0 })
    }

    /// The directory.
    pub(super) fn directory(&self) -> PathBuf {
        self.directory.to_path_buf()
    }

    pub(super) async fn list(&self) -> Result<BoxStream<'static, Result<StagedFile, StagingError>>, StagingError> {
        // A draft's name is a UUID.
        list_directory(self.directory.to_path_buf(), |name| Uuid::try_parse(name).ok().map(|_| None)).await
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), StagingError> {
        match fs::remove_file(self.directory.join(name)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StagingError::disk("remove a draft")(error)),
            _ => Ok(()),
        }
    }
}

/// An upload while it arrives: hashed and counted while it is written. Dropping it deletes it.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: TempPath,
    hash: Sha256,
    bytes: u64,
}

impl Draft {
    /// Appends bytes.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), StagingError> {
        self.hash.update(chunk);
        self.bytes += chunk.len() as u64;
        self.file.write_all(chunk).await.map_err(StagingError::disk("write an upload"))
    }

    /// Number of bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the upload. It can then be read and kept.
    pub async fn finish(mut self) -> Result<Received, StagingError> {
        self.file.flush().await.map_err(StagingError::disk("write an upload"))?;
        Ok(Received { file: self.file, path: self.path, sha256: self.hash.finalize().into(), bytes: self.bytes })
    }
}

/// A complete upload that is not durable yet. Dropping it deletes it.
#[derive(Debug)]
pub struct Received {
    pub(super) file: File,
    pub(super) path: TempPath,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Length of the file, in bytes.
    pub bytes: u64,
}

impl Received {
    /// Calls `read` with the open file in a thread for blocking work, for example to read its header.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(std::fs::File) -> T + Send + 'static,
    ) -> Result<T, StagingError> {
        let path: &std::path::Path = &self.path;
        let path = path.to_path_buf();
        run_blocking(move || std::fs::File::open(path).map(read)).await.map_err(StagingError::disk("read an upload"))
    }
}
