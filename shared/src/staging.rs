//! Staging: where an upload waits until it is rendered.
//!
//! An upload is first a [`Draft`], a nameless file that vanishes with the request. Once its header has been read and
//! approved, [`Staging::keep`] makes it durable under its image's id; only then may the image be accepted. A crash
//! in between leaves a file that no image claims, which the sweep removes.

use std::{
    io,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

mod room;
mod store;

pub use room::{Reservation, StagingRoom};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt as _, aws::AmazonS3, path::Path};
use sha2::{Digest as _, Sha256};
use tempfile::{TempDir, TempPath};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};
use uuid::Uuid;

use darkroom_model::ImageId;

use crate::{
    bucket::{self, BucketError},
    config::{S3Access, StagingUrl},
};

/// What a draft holds in memory before it goes to the disk; fifty uploads at once stay small.
const DRAFT_BUFFER: usize = 128 << 10;
/// Below a staging directory: the drafts.
const INCOMING: &str = "incoming";

/// Staging did not do what was asked. The cause is for logs: it may name paths.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// Nothing is staged under this id.
    #[error("nothing is staged for this image")]
    Missing,
    /// There is no room for the upload.
    #[error("staging has no room: {reason}")]
    Full {
        /// Which limit it would exceed.
        reason: String,
    },
    /// The disk is full, away, or not ours to write.
    #[error("staging cannot {action}: {source}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The bucket that staging is in failed.
    #[error("staging: {0}")]
    Bucket(#[from] BucketError),
    /// The bucket that staging is in failed.
    #[error("staging: {0}")]
    Store(#[source] object_store::Error),
}

impl StagingError {
    /// Whether there is no room, by a limit or by the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

fn disk(action: &'static str) -> impl Fn(io::Error) -> StagingError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => StagingError::Missing,
        _ => StagingError::Disk { action, source },
    }
}

fn store(source: object_store::Error) -> StagingError {
    match source {
        object_store::Error::NotFound { .. } => StagingError::Missing,
        source => StagingError::Store(source),
    }
}

/// A client of staging. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Staging {
    incoming: Arc<PathBuf>,
    place: Place,
    /// Where staging is a bucket: the drafts' directory, this process's own, which goes with it.
    _private: Option<Arc<TempDir>>,
}

#[derive(Clone, Debug)]
enum Place {
    Directory(Arc<PathBuf>),
    Bucket(Arc<AmazonS3>, Path),
}

/// A staged file found by listing.
#[derive(Debug)]
pub struct Staged {
    /// Whose it is; `None` for a draft that a crash has left.
    pub image: Option<ImageId>,
    /// When it was written.
    pub modified: DateTime<Utc>,
    /// Its length.
    pub bytes: u64,
    name: String,
}

impl Staging {
    /// Opens staging, and makes its directory where it is one.
    pub async fn open(url: &StagingUrl, access: &S3Access) -> Result<Self, StagingError> {
        let unmade = |source| StagingError::Disk { action: "make its directory", source };
        match url {
            StagingUrl::Directory(directory) => {
                let incoming = directory.join(INCOMING);
                // Originals may hold what their uploader would not publish, such as GPS: they are for this user only.
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&incoming).await.map_err(unmade)?;
                let place = Place::Directory(Arc::new(directory.clone()));
                Ok(Self { incoming: Arc::new(incoming), place, _private: None })
            }
            StagingUrl::Bucket(url) => {
                let store = Arc::new(bucket::s3(access, &url.bucket)?);
                // Unguessable and closed to other users: the system's directory for such files is everybody's.
                let private = tempfile::Builder::new().prefix("darkroom-incoming-").tempdir().map_err(unmade)?;
                let incoming = Arc::new(private.path().to_path_buf());
                let place = Place::Bucket(store, Path::from(url.prefix.as_str()));
                Ok(Self { incoming, place, _private: Some(Arc::new(private)) })
            }
        }
    }

    /// Asks whether staging is there and may be written.
    pub async fn probe(&self) -> Result<(), StagingError> {
        self.draft().await?;
        match &self.place {
            Place::Directory(_) => Ok(()),
            Place::Bucket(store, prefix) => Ok(bucket::probe(&**store, prefix).await?),
        }
    }

    /// Begins an upload.
    pub async fn draft(&self) -> Result<Draft, StagingError> {
        let path = self.incoming.join(Uuid::now_v7().to_string());
        // The file of a name known only here: `create_new` cannot meet another's.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).await;
        let mut file = file.map_err(|source| StagingError::Disk { action: "begin an upload", source })?;
        file.set_max_buf_size(DRAFT_BUFFER);
        let path = TempPath::try_from_path(path).map_err(disk("begin an upload"))?;
        Ok(Draft { file, path, hash: Sha256::new(), bytes: 0 })
    }

    /// Makes an upload durable under its image's id: when this returns, the bytes survive a power cut.
    pub async fn keep(&self, received: Received, image: ImageId) -> Result<(), StagingError> {
        match &self.place {
            Place::Directory(directory) => {
                received.file.sync_all().await.map_err(disk("flush an upload"))?;
                let (directory, path) = (Arc::clone(directory), received.path);
                let moved = move || -> io::Result<()> {
                    path.persist(directory.join(image.to_string())).map_err(|error| error.error)?;
                    // The rename is durable only once the directory is.
                    std::fs::File::open(&*directory)?.sync_all()
                };
                blocking(moved).await.map_err(disk("keep an upload"))
            }
            Place::Bucket(bucket, prefix) => {
                store::store_object(bucket, prefix.clone().join(image.to_string()), received).await
            }
        }
    }

    /// The bytes staged for an image.
    pub async fn read(&self, image: ImageId) -> Result<Bytes, StagingError> {
        match &self.place {
            Place::Directory(directory) => {
                fs::read(directory.join(image.to_string())).await.map(Bytes::from).map_err(disk("read an upload"))
            }
            Place::Bucket(bucket, prefix) => {
                let found = bucket.get(&prefix.clone().join(image.to_string())).await.map_err(store)?;
                found.bytes().await.map_err(store)
            }
        }
    }

    /// Removes what is staged for an image. That there is nothing counts as done.
    pub async fn remove(&self, image: ImageId) -> Result<(), StagingError> {
        let removed = match &self.place {
            Place::Directory(directory) => {
                fs::remove_file(directory.join(image.to_string())).await.map_err(disk("remove an upload"))
            }
            Place::Bucket(bucket, prefix) => {
                bucket.delete(&prefix.clone().join(image.to_string())).await.map_err(store)
            }
        };
        match removed {
            Err(StagingError::Missing) => Ok(()),
            other => other,
        }
    }

    /// Everything staged, drafts among it.
    pub async fn list(&self) -> Result<BoxStream<'_, Result<Staged, StagingError>>, StagingError> {
        let drafts =
            list_directory(self.incoming.to_path_buf()).await?.map_ok(|staged| Staged { image: None, ..staged });
        let kept = match &self.place {
            Place::Directory(directory) => list_directory(directory.to_path_buf()).await?.boxed(),
            Place::Bucket(bucket, prefix) => bucket
                .list(Some(prefix))
                .map_err(store)
                .try_filter_map(|meta| {
                    let name = meta.location.filename().unwrap_or_default().to_owned();
                    let image = Uuid::try_parse(&name).ok().map(ImageId::from_uuid);
                    let staged = image.map(|image| Staged {
                        image: Some(image),
                        modified: meta.last_modified,
                        bytes: meta.size,
                        name,
                    });
                    futures::future::ok(staged)
                })
                .boxed(),
        };
        Ok(kept.chain(drafts).boxed())
    }

    /// Removes what [`Staging::list`] found.
    pub async fn remove_listed(&self, staged: &Staged) -> Result<(), StagingError> {
        match staged.image {
            Some(image) => self.remove(image).await,
            None => match fs::remove_file(self.incoming.join(&staged.name)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove a draft")(error)),
                _ => Ok(()),
            },
        }
    }
}

/// The files of a directory whose names are ids.
async fn list_directory(directory: PathBuf) -> Result<BoxStream<'static, Result<Staged, StagingError>>, StagingError> {
    let entries = fs::read_dir(&directory).await.map_err(disk("list uploads"))?;
    let files = futures::stream::try_unfold(entries, |mut entries| async move {
        while let Some(entry) = entries.next_entry().await.map_err(disk("list uploads"))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(id) = Uuid::try_parse(&name) else { continue };
            // A file may go while we look.
            let meta = entry.metadata().await.and_then(|meta| Ok((meta.modified()?, meta.len())));
            let Ok((modified, bytes)) = meta else { continue };
            return Ok(Some((
                Staged { image: Some(ImageId::from_uuid(id)), modified: modified.into(), bytes, name },
                entries,
            )));
        }
        Ok(None)
    });
    Ok(files.boxed())
}

/// An upload as it comes in: hashed and counted on its way to the disk. Dropping it removes it.
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
        self.file.write_all(chunk).await.map_err(disk("write an upload"))
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the upload; it can now be read, and kept.
    pub async fn finish(mut self) -> Result<Received, StagingError> {
        self.file.flush().await.map_err(disk("write an upload"))?;
        Ok(Received { file: self.file, path: self.path, sha256: self.hash.finalize().into(), bytes: self.bytes })
    }
}

/// A whole upload, not yet durable. Dropping it removes it.
#[derive(Debug)]
pub struct Received {
    file: File,
    path: TempPath,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Length of the file.
    pub bytes: u64,
}

impl Received {
    /// Reads the file in a blocking thread, for example its header.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(std::fs::File) -> T + Send + 'static,
    ) -> Result<T, StagingError> {
        let path: &FilePath = &self.path;
        let path = path.to_path_buf();
        blocking(move || std::fs::File::open(path).map(read)).await.map_err(disk("read an upload"))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
