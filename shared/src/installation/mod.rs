//! The identity of an installation: whether the database, the bucket and staging belong together.
//!
//! A missing file, row or object is first of all a reason to doubt the environment: a volume may be unmounted, a URL
//! wrong, a database restored from a backup. The database has a random id. A marker in the bucket and a marker in
//! staging repeat it. Whatever would destroy something, or give an upload up, compares them first and stops on a
//! [`Mismatch`].
//!
//! An empty bucket or staging is marked by the first process that opens it, unless the catalog says that it should not
//! be empty. The workers advance a generation in the database, and then in the markers. A marker that is ahead of the
//! database shows that the database was restored from a backup. `darkroom-api adopt` ends any mismatch knowingly.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | comparing, and marking an empty store |
//! | `mismatch.rs` | how identities can differ |
//! | `marker.rs` | the marker, and its comparison with the database |
//! | `record.rs` | the row in the database |
//! | `watch.rs` | the comparison every few seconds, and the generation |
//! | `adopt.rs` | taking over a bucket and staging |

mod adopt;
mod marker;
mod mismatch;
mod record;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

pub use self::{
    adopt::{Adoption, StoreState},
    marker::Marker,
    mismatch::Mismatch,
    record::Record,
};
use crate::{
    bucket::{Bucket, BucketError},
    database::Database,
    staging::{Staging, StagingError},
};

/// A place that has a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The bucket of the renditions.
    Bucket,
    /// Where uploads wait.
    Staging,
}

impl Store {
    /// The name in logs and errors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "the bucket",
            Self::Staging => "staging",
        }
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why identities do not agree, or could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The database and a store do not belong together.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The database could not be asked.
    #[error("the installation's row cannot be read: {0}")]
    Database(#[from] sqlx::Error),
    /// The bucket could not be asked.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Staging could not be asked.
    #[error(transparent)]
    Staging(#[from] StagingError),
}

impl InstallationError {
    /// The mismatch; `None` if the identities could not be compared.
    #[must_use]
    pub fn mismatch(&self) -> Option<&Mismatch> {
        match self {
            Self::Mismatch(mismatch) => Some(mismatch),
            _ => None,
        }
    }

    /// Whether the store may be used nevertheless: it is the right one, but the database was restored.
    fn is_right_store(&self) -> bool {
        self.mismatch().is_some_and(Mismatch::is_restored_database)
    }
}

/// The result of the latest comparison of one store. A comparison that could not be made changes nothing.
#[derive(Clone, Debug, Default)]
struct Seen {
    mismatch: Option<Mismatch>,
    /// Installation and random id of the marker that agreed last.
    agreed: Option<(Uuid, Uuid)>,
}

/// The results of the latest comparisons.
#[derive(Debug, Default)]
struct LastSeen {
    bucket: Seen,
    staging: Seen,
}

impl LastSeen {
    fn of(&mut self, store: Store) -> &mut Seen {
        match store {
            Store::Bucket => &mut self.bucket,
            Store::Staging => &mut self.staging,
        }
    }
}

/// Compares the identities of the database, the bucket and staging. Cheap to clone; clones share what they have seen.
#[derive(Clone, Debug)]
pub struct Installation {
    db: Database,
    bucket: Bucket,
    staging: Staging,
    seen: Arc<RwLock<LastSeen>>,
}

impl Installation {
    /// Compares nothing yet.
    #[must_use]
    pub fn new(db: Database, bucket: Bucket, staging: Staging) -> Self {
        Self { db, bucket, staging, seen: Arc::default() }
    }

    /// Compares one store with the database now, and marks it if it is new.
    ///
    /// # Errors
    /// [`InstallationError::Mismatch`], or why they could not be compared.
    pub async fn check(&self, store: Store) -> Result<(), InstallationError> {
        let mut checked = self.compare(store).await;
        if checked.as_ref().is_err_and(|error| error.mismatch().is_some()) {
            // `adopt` may have written the row between the two reads.
            checked = self.compare(store).await;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.of(store);
        match checked {
            Ok(agreed) => {
                *seen = Seen { mismatch: None, agreed: Some(agreed) };
                Ok(())
            }
            Err(error) => {
                if let Some(mismatch) = error.mismatch() {
                    seen.mismatch = Some(mismatch.clone());
                }
                Err(error)
            }
        }
    }

    /// Compares both stores with the database now.
    ///
    /// # Errors
    /// Any mismatch, or why they could not be compared. Required before anything is removed because no row knows it.
    pub async fn check_all(&self) -> Result<(), InstallationError> {
        let (staging, bucket) = tokio::join!(self.check(Store::Staging), self.check(Store::Bucket));
        staging.and(bucket)
    }

    /// Compares both stores with the database now. A restored database is no error: what its rows name may still be
    /// read, written and removed.
    ///
    /// # Errors
    /// A mismatch of a store, or why they could not be compared.
    pub async fn check_stores(&self) -> Result<(), InstallationError> {
        let (staging, bucket) = tokio::join!(self.check(Store::Staging), self.check(Store::Bucket));
        let right = |checked: Result<(), InstallationError>| match checked {
            Err(error) if error.is_right_store() => Ok(()),
            checked => checked,
        };
        right(staging).and(right(bucket))
    }

    /// The mismatches that the latest comparisons found.
    #[must_use]
    pub fn mismatches(&self) -> Vec<Mismatch> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        [&seen.staging, &seen.bucket].into_iter().filter_map(|seen| seen.mismatch.clone()).collect()
    }

    /// The mismatch of a store that the latest comparisons found. A restored database is none.
    #[must_use]
    pub fn wrong_store(&self) -> Option<Mismatch> {
        self.mismatches().into_iter().find(|mismatch| !mismatch.is_restored_database())
    }

    /// Whether uploads may be received, by the latest comparison of staging; compares if there was none yet.
    ///
    /// # Errors
    /// Staging belongs to another installation, or could not be compared yet.
    pub async fn check_uploads(&self) -> Result<(), InstallationError> {
        let Seen { mismatch, agreed } = self.seen_staging();
        match mismatch {
            Some(mismatch) if !mismatch.is_restored_database() => Err(mismatch.into()),
            None if agreed.is_none() => match self.check(Store::Staging).await {
                Err(error) if error.is_right_store() => Ok(()),
                checked => checked,
            },
            _ => Ok(()),
        }
    }

    /// Whether an upload was kept in the staging that [`Installation::check_uploads`] compared. Reads the marker of a
    /// directory, which may be unmounted at any time; a bucket is compared every few seconds.
    ///
    /// # Errors
    /// Staging has been replaced, or its marker cannot be read.
    pub async fn check_kept(&self) -> Result<(), InstallationError> {
        let Some(agreed) = self.seen_staging().agreed.filter(|_| self.staging.is_directory()) else { return Ok(()) };
        match self.read_marker(Store::Staging).await? {
            Some(marker) if (marker.installation, marker.id) == agreed => Ok(()),
            // Replaced, or adopted.
            _ => match self.check(Store::Staging).await {
                Err(error) if error.is_right_store() => Ok(()),
                checked => checked,
            },
        }
    }

    fn seen_staging(&self) -> Seen {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).staging.clone()
    }

    /// Compares without writing down the result. Returns installation and random id of the marker.
    async fn compare(&self, store: Store) -> Result<(Uuid, Uuid), InstallationError> {
        // The marker first: it is written after the row, so it is never ahead of a row that is read later.
        let marker = self.read_marker(store).await?;
        let record = Record::read(&self.db).await?;
        let marker = match marker {
            Some(marker) => marker,
            None if record.marker(store).is_some() => return Err(Mismatch::MarkerGone { store }.into()),
            None => self.mark(store, &record).await?,
        };
        if record.marker(store).is_none() && marker.is_of(&record) {
            // A process was stopped after it had written the marker, or marks right now.
            record::set_marker(&self.db, store, marker.id).await?;
        }
        let record = if record.marker(store).is_none() { Record::read(&self.db).await? } else { record };
        marker.compare(store, &record)?;
        Ok((marker.installation, marker.id))
    }

    /// Marks an empty store. Returns the marker that the store has then, which may be of another process.
    async fn mark(&self, store: Store, record: &Record) -> Result<Marker, InstallationError> {
        if record::is_in_use(&self.db, store).await? {
            return Err(Mismatch::UnmarkedInUse { store }.into());
        }
        if !self.is_empty(store).await? {
            return Err(Mismatch::Unmarked { store }.into());
        }
        let marker = Marker::new(record);
        let bytes = marker.to_json();
        match store {
            Store::Bucket => self.bucket.write_marker(bytes, false).await?,
            Store::Staging => self.staging.write_marker(bytes, false).await?,
        }
        tracing::info!(installation = %record.id, "marked {store} as this installation's");
        // Another process may have been first.
        self.read_marker(store).await?.ok_or_else(|| Mismatch::MarkerGone { store }.into())
    }

    async fn read_marker(&self, store: Store) -> Result<Option<Marker>, InstallationError> {
        let bytes = match store {
            Store::Bucket => self.bucket.read_marker().await?,
            Store::Staging => self.staging.read_marker().await?,
        };
        let parse = |bytes: bytes::Bytes| Marker::parse(&bytes).ok_or(Mismatch::Unreadable { store });
        Ok(bytes.map(parse).transpose()?)
    }

    async fn is_empty(&self, store: Store) -> Result<bool, InstallationError> {
        Ok(match store {
            Store::Bucket => self.bucket.is_empty().await?,
            Store::Staging => self.staging.is_empty().await?,
        })
    }
}
