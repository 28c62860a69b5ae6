//! Staging: where an upload waits until it is rendered.
//!
//! An upload is first a [`Draft`], a file that is deleted if the request ends. Once its header has been read and
//! accepted, [`Staging::keep`] makes it durable under its image's id; only then may the image be accepted. A crash
//! between the two leaves a file that belongs to no image, which the sweep removes.
//!
//! | file | what it holds |
//! |---|---|
//! | `draft.rs` | an upload while it arrives |
//! | `directory.rs`, `bucket.rs` | the two places where uploads are kept |
//! | `object.rs` | an upload stored as an object, in parts |
//! | `room.rs` | the limit of staged bytes and the reserve of free disk |
//! | `name.rs` | the name of an image's staged file in both |

mod bucket;
mod directory;
mod draft;
mod files;
mod name;
mod object;
mod room;

use std::io;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream::BoxStream};
use tokio::fs;

use darkroom_model::{ImageId, OwnedImage, Owner};

pub use draft::{Draft, Received};
pub use room::{Reservation, StagingRoom};

use self::{bucket::BucketStore, directory::DirectoryStore, draft::Drafts};
use crate::settings::{S3Access, StagingUrl};

/// The directory of the drafts, below a staging directory.
const INCOMING: &str = "incoming";

/// The name of the installation's marker. No UUID, so that it is not taken for a staged file.
const MARKER: &str = ".darkroom-staging.json";

/// Why staging did not do what was asked. Its text is for logs: it may contain paths.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// No file is staged for this image.
    #[error("no file is staged for this image")]
    Missing,
    /// There is no room for the upload.
    #[error("staging has no room: {reason}")]
    Full {
        /// Which limit it would exceed.
        reason: String,
    },
    /// The file system returned an error: it is full, or may not be written.
    #[error("staging cannot {action}: {source}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The bucket of staging returned an error.
    #[error("staging cannot {action}: {source}")]
    Bucket {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: object_store::Error,
    },
}

impl StagingError {
    /// Whether there is no room, by a limit or by the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Missing | Self::Bucket { .. } => false,
        }
    }

    fn disk(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Disk { action, source },
        }
    }

    fn bucket(action: &'static str) -> impl Fn(object_store::Error) -> Self {
        move |source| match source {
            object_store::Error::NotFound { .. } => Self::Missing,
            source => Self::Bucket { action, source },
        }
    }
}

/// A client of staging. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Staging {
    drafts: Drafts,
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    Directory(DirectoryStore),
    Bucket(BucketStore),
}

/// A staged file found by listing.
#[derive(Debug)]
pub struct StagedFile {
    /// Its image; `None` for a draft that a crash has left.
    pub image: Option<OwnedImage>,
    /// When it was written, by the clock of the file system or the S3 server.
    pub modified: DateTime<Utc>,
    /// Its length.
    pub bytes: u64,
    name: String,
}

impl Staging {
    /// Opens staging, and creates its directory if it is one.
    pub async fn open(url: &StagingUrl, access: &S3Access) -> Result<Self, StagingError> {
        let cannot_create = |source| StagingError::Disk { action: "create its directory", source };
        match url {
            StagingUrl::Directory(directory) => {
                let incoming = directory.join(INCOMING);
                // Originals may contain private metadata, such as GPS positions: only this user may read them.
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&incoming).await.map_err(cannot_create)?;
                let store = Store::Directory(DirectoryStore::new(directory.clone()));
                Ok(Self { drafts: Drafts::in_directory(incoming), store })
            }
            StagingUrl::Bucket(url) => {
                let store = BucketStore::open(url, access)?;
                // A directory of this process with a random name and mode 0700: /tmp is writable by every user.
                let private = tempfile::Builder::new().prefix("darkroom-incoming-").tempdir().map_err(cannot_create)?;
                Ok(Self { drafts: Drafts::in_private_directory(private), store: Store::Bucket(store) })
            }
        }
    }

    /// Checks that staging can be written.
    pub async fn probe(&self) -> Result<(), StagingError> {
        self.draft().await?;
        match &self.store {
            Store::Directory(_) => Ok(()),
            Store::Bucket(bucket) => bucket.probe().await,
        }
    }

    /// Whether it is a directory, which may be unmounted.
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.store, Store::Directory(_))
    }

    /// The installation's marker; `None` if there is none.
    pub(crate) async fn read_marker(&self) -> Result<Option<Bytes>, StagingError> {
        match &self.store {
            Store::Directory(directory) => directory.read_marker().await,
            Store::Bucket(bucket) => bucket.read_marker().await,
        }
    }

    /// Writes the installation's marker. Unless it `overwrites`, a marker that exists is kept.
    pub(crate) async fn write_marker(&self, bytes: Bytes, overwrites: bool) -> Result<(), StagingError> {
        match &self.store {
            Store::Directory(directory) => directory.write_marker(bytes, overwrites).await,
            Store::Bucket(bucket) => bucket.write_marker(bytes, overwrites).await,
        }
    }

    /// Whether no file is staged for an image.
    pub(crate) async fn is_empty(&self) -> Result<bool, StagingError> {
        let mut kept = match &self.store {
            Store::Directory(directory) => directory.list().await?,
            Store::Bucket(bucket) => bucket.list(),
        };
        Ok(kept.next().await.transpose()?.is_none())
    }

    /// Begins an upload.
    pub async fn draft(&self) -> Result<Draft, StagingError> {
        self.drafts.create().await
    }

    /// Makes an upload durable under its owner and its image's id: when this returns, its bytes survive a power cut.
    pub async fn keep(&self, received: Received, owner: Owner, id: ImageId) -> Result<(), StagingError> {
        match &self.store {
            Store::Directory(directory) => directory.keep(received, owner, id).await,
            Store::Bucket(bucket) => bucket.keep(received, owner, id).await,
        }
    }

    /// The bytes staged for an image.
    ///
    /// # Errors
    /// [`StagingError::Missing`] if there is no such file.
    pub async fn read(&self, owner: Owner, id: ImageId) -> Result<Bytes, StagingError> {
        match &self.store {
            Store::Directory(directory) => directory.read(owner, id).await,
            Store::Bucket(bucket) => bucket.read(owner, id).await,
        }
    }

    /// Removes the file staged for an image. Succeeds if there is none.
    pub async fn remove(&self, owner: Owner, id: ImageId) -> Result<(), StagingError> {
        let removed = match &self.store {
            Store::Directory(directory) => directory.remove(owner, id).await,
            Store::Bucket(bucket) => bucket.remove(owner, id).await,
        };
        match removed {
            Err(StagingError::Missing) => Ok(()),
            other => other,
        }
    }

    /// Every staged file, and every draft of this process's directory.
    pub async fn list(&self) -> Result<BoxStream<'_, Result<StagedFile, StagingError>>, StagingError> {
        let drafts = self.drafts.list().await?;
        let kept = match &self.store {
            Store::Directory(directory) => directory.list().await?,
            Store::Bucket(bucket) => bucket.list(),
        };
        Ok(kept.chain(drafts).boxed())
    }

    /// Removes a file that [`Staging::list`] returned. Succeeds if it is gone.
    pub async fn remove_listed(&self, staged: &StagedFile) -> Result<(), StagingError> {
        match staged.image {
            Some(image) => self.remove(image.owner, image.id).await,
            None => self.drafts.remove(&staged.name).await,
        }
    }
}
