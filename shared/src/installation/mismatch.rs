//! How the identities of the database, the bucket and staging can differ.

use uuid::Uuid;

use super::Store;

/// The database and a store do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The store was marked, and its marker is gone.
    #[error(
        "{store} has lost the marker of this installation: it is not mounted, was replaced, or denies its own files"
    )]
    MarkerGone {
        /// Which store.
        store: Store,
    },
    /// The store has no marker, and is not empty.
    #[error("{store} has no marker, and holds files that this database may not know")]
    Unmarked {
        /// Which store.
        store: Store,
    },
    /// The store has no marker, and the catalog names files in it.
    #[error("{store} has no marker, and the database names files in it")]
    UnmarkedInUse {
        /// Which store.
        store: Store,
    },
    /// The marker cannot be parsed.
    #[error("the marker of {store} cannot be read")]
    Unreadable {
        /// Which store.
        store: Store,
    },
    /// The marker is of another installation.
    #[error("{store} belongs to installation {found}, and the database to {expected}")]
    OtherInstallation {
        /// Which store.
        store: Store,
        /// The installation in the marker.
        found: Uuid,
        /// The installation in the database.
        expected: Uuid,
    },
    /// This installation has marked another store in place of this one.
    #[error("{store} is not the one that this installation uses: another was marked or adopted")]
    OtherStore {
        /// Which store.
        store: Store,
    },
    /// The marker is of an earlier epoch.
    #[error("{store} is of epoch {marker}, before the database was adopted as epoch {database}")]
    StoreBehind {
        /// Which store.
        store: Store,
        /// The epoch in the marker.
        marker: i32,
        /// The epoch in the database.
        database: i32,
    },
    /// The marker is ahead of the database.
    #[error(
        "the database is behind {store} (generation {database} after {marker}): it was restored from a backup, or lags"
    )]
    DatabaseBehind {
        /// Which store.
        store: Store,
        /// The generation in the marker.
        marker: i64,
        /// The generation in the database.
        database: i64,
    },
    /// Two copies of one database use the store.
    #[error("another copy of this database uses {store} too")]
    CopiedDatabase {
        /// Which store.
        store: Store,
    },
}

impl Mismatch {
    /// Whether the store is the right one, and the database an earlier state or a copy of the one that used it. Then
    /// what the database names may be used, and nothing may be removed because the database does not name it.
    #[must_use]
    pub fn is_restored_database(&self) -> bool {
        matches!(self, Self::DatabaseBehind { .. } | Self::CopiedDatabase { .. })
    }

    /// The store that does not belong to the database.
    #[must_use]
    pub fn store(&self) -> Store {
        match self {
            Self::MarkerGone { store }
            | Self::Unmarked { store }
            | Self::UnmarkedInUse { store }
            | Self::Unreadable { store }
            | Self::OtherInstallation { store, .. }
            | Self::OtherStore { store }
            | Self::StoreBehind { store, .. }
            | Self::DatabaseBehind { store, .. }
            | Self::CopiedDatabase { store } => *store,
        }
    }
}
