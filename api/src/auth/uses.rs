//! When keys were used: gathered in memory and written together once a minute, so that no request waits for it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use darkroom_shared::{
    access::{KeyId, KeyUse, record_uses},
    database::Database,
};

/// The uses of keys that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<HashMap<KeyId, DateTime<Utc>>>);

impl Uses {
    /// The key is being used.
    pub(super) fn add(&self, key: KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Utc::now());
    }

    /// Writes the uses since the last time. They are lost if that fails.
    pub(super) async fn record(&self, db: &Database) {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let uses: Vec<_> = uses.into_iter().map(|(key, at)| KeyUse { key, at }).collect();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = db.run(async |db| record_uses(db, &uses).await).await {
            tracing::warn!("cannot record when {} keys were used: {error}", uses.len());
        }
    }
}
