//! Taking over a bucket and staging: `darkroom-api adopt`.

use uuid::Uuid;

use super::{Installation, InstallationError, Marker, Mismatch, Record, Store, record};

/// What a store holds before it is adopted.
#[derive(Clone, Debug)]
pub struct StoreState {
    /// Its marker; `None`: it has none, or one that cannot be read.
    pub marker: Option<Marker>,
    /// Whether it holds no staged file or no rendition.
    pub is_empty: bool,
}

/// What an adoption would change.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The database's identity.
    pub record: Record,
    /// The bucket.
    pub bucket: StoreState,
    /// Staging.
    pub staging: StoreState,
}

impl Installation {
    /// What [`Installation::adopt`] would change. Changes nothing.
    ///
    /// # Errors
    /// The database, the bucket or staging cannot be read.
    pub async fn plan_adoption(&self) -> Result<Adoption, InstallationError> {
        Ok(Adoption {
            record: Record::read(&self.db).await?,
            bucket: self.state(Store::Bucket).await?,
            staging: self.state(Store::Staging).await?,
        })
    }

    /// Takes over the bucket and staging: begins a new epoch in the database, and marks both as this installation's.
    /// Every other database that uses them finds a mismatch from then on. If it is interrupted, the mismatch remains
    /// and it can be repeated.
    ///
    /// # Errors
    /// The database, the bucket or staging cannot be written.
    pub async fn adopt(&self, adoption: &Adoption) -> Result<Record, InstallationError> {
        let markers = [&adoption.bucket.marker, &adoption.staging.marker];
        let above = markers.into_iter().flatten().map(|marker| (marker.epoch, marker.generation));
        let above = above.fold((0, 0), |most, marker| (most.0.max(marker.0), most.1.max(marker.1)));
        let (bucket, staging) = (Uuid::now_v7(), Uuid::now_v7());
        let record = record::adopt(&self.db, above, bucket, staging).await?;
        self.write_marker(Store::Bucket, &Marker::with_id(&record, bucket)).await?;
        self.write_marker(Store::Staging, &Marker::with_id(&record, staging)).await?;
        Ok(record)
    }

    async fn state(&self, store: Store) -> Result<StoreState, InstallationError> {
        let marker = match self.read_marker(store).await {
            Err(InstallationError::Mismatch(Mismatch::Unreadable { .. })) => None,
            marker => marker?,
        };
        Ok(StoreState { marker, is_empty: self.is_empty(store).await? })
    }
}
