//! The marker: a small JSON file in the bucket and in staging.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Mismatch, Record, Store};

/// The marker of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The installation's id.
    pub installation: Uuid,
    /// A random id of this marker. The database knows it, so that two stores of one installation are told apart.
    pub id: Uuid,
    /// How often the installation was adopted, plus one.
    pub epoch: i32,
    /// The database's generation when the marker was written.
    pub generation: i64,
    /// The random value that the database had with this generation.
    pub stamp: Uuid,
}

impl Marker {
    /// A marker with a new random id.
    pub(super) fn new(record: &Record) -> Self {
        Self::with_id(record, Uuid::now_v7())
    }

    /// A marker with this id.
    pub(super) fn with_id(record: &Record, id: Uuid) -> Self {
        Self { installation: record.id, id, epoch: record.epoch, generation: record.generation, stamp: record.stamp }
    }

    pub(super) fn to_json(&self) -> Bytes {
        // A struct of numbers and ids always serializes.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// `None`: this is no marker.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether the marker is of this installation, and not ahead of its database.
    pub(super) fn is_of(&self, record: &Record) -> bool {
        self.installation == record.id && !self.is_ahead_of(record)
    }

    fn is_ahead_of(&self, record: &Record) -> bool {
        (self.epoch, self.generation) > (record.epoch, record.generation)
    }

    /// Compares the marker of a store with the database.
    pub(super) fn compare(&self, store: Store, record: &Record) -> Result<(), Mismatch> {
        if self.installation != record.id {
            return Err(Mismatch::OtherInstallation { store, found: self.installation, expected: record.id });
        }
        if self.is_ahead_of(record) {
            return Err(Mismatch::DatabaseBehind { store, marker: self.generation, database: record.generation });
        }
        if self.epoch < record.epoch {
            return Err(Mismatch::StoreBehind { store, marker: self.epoch, database: record.epoch });
        }
        if record.marker(store) != Some(self.id) {
            return Err(Mismatch::OtherStore { store });
        }
        if self.generation == record.generation && self.stamp != record.stamp {
            return Err(Mismatch::CopiedDatabase { store });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let marker = Some(Uuid::now_v7());
        Record { id: Uuid::now_v7(), epoch: 2, generation: 7, stamp: Uuid::now_v7(), bucket: marker, staging: marker }
    }

    #[test]
    fn a_marker_agrees_with_its_database_and_lags_at_most() {
        let record = record();
        let marker = Marker::with_id(&record, record.bucket.unwrap());
        let parsed = Marker::parse(&marker.to_json()).unwrap();
        assert_eq!(parsed.compare(Store::Bucket, &record), Ok(()));
        let lagging = Marker { generation: 6, stamp: Uuid::now_v7(), ..parsed };
        assert_eq!(lagging.compare(Store::Bucket, &record), Ok(()));
        assert_eq!(Marker::parse(b"{}"), None);
    }

    #[test]
    fn every_other_marker_is_a_mismatch() {
        let record = record();
        let store = Store::Staging;
        let marker = Marker::with_id(&record, record.staging.unwrap());
        let compare = |marker: Marker| marker.compare(store, &record).unwrap_err();
        let other = compare(Marker { installation: Uuid::now_v7(), ..marker.clone() });
        assert!(matches!(other, Mismatch::OtherInstallation { .. }) && !other.is_restored_database());
        assert_eq!(compare(Marker { id: Uuid::now_v7(), ..marker.clone() }), Mismatch::OtherStore { store });
        let earlier = compare(Marker { epoch: 1, generation: 9, ..marker.clone() });
        assert_eq!(earlier, Mismatch::StoreBehind { store, marker: 1, database: 2 });
        for ahead in [Marker { generation: 8, ..marker.clone() }, Marker { epoch: 3, generation: 1, ..marker.clone() }]
        {
            let ahead = compare(ahead);
            assert!(matches!(ahead, Mismatch::DatabaseBehind { .. }) && ahead.is_restored_database());
        }
        let copied = compare(Marker { stamp: Uuid::now_v7(), ..marker });
        assert!(matches!(copied, Mismatch::CopiedDatabase { .. }) && copied.is_restored_database());
    }
}
