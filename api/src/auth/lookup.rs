//! Keys by their hash, in memory for 1.5 s: a revocation in the database is seen by every process within 2 s, and a busy key
//! costs one query in that time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use darkroom_shared::{
    access::{Found, find_credential},
    database::Database,
};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::error::ApiError;

/// How old a result may be, from the beginning of its query.
pub(super) const MAX_AGE: Duration = Duration::from_millis(1500);
/// Maximum number of hashes in memory, about 300 bytes each.
const MAX_HASHES: usize = 20_000;
/// Queries at once for hashes that were not of a valid key before, so that wrong keys cannot take all connections to the
/// database.
const UNKNOWN_QUERIES: usize = 2;

type Digest = [u8; 32];
/// The last query for a hash. Locked while the next one runs, so that requests with the same key share it.
type Slot = Arc<tokio::sync::Mutex<Option<Query>>>;

/// Looks up keys.
#[derive(Debug)]
pub(super) struct Lookup {
    db: Database,
    slots: Mutex<HashMap<Digest, Slot>>,
    unknown_queries: Arc<Semaphore>,
}

#[derive(Debug)]
struct Query {
    began: Instant,
    ended: Instant,
    /// `None`: it failed.
    found: Option<Found>,
}

impl Lookup {
    pub(super) fn new(db: Database) -> Self {
        Self { db, slots: Mutex::default(), unknown_queries: Arc::new(Semaphore::new(UNKNOWN_QUERIES)) }
    }

    /// What is known of this hash. Fails as unavailable while the database is.
    pub(super) async fn find(&self, digest: Digest) -> Result<Found, ApiError> {
        let asked = Instant::now();
        let mut last = self.slot(digest).lock_owned().await;
        match &*last {
            Some(Query { began, found: Some(found), .. }) if began.elapsed() < MAX_AGE => return Ok(found.clone()),
            // The query that this request has waited for.
            Some(Query { ended, found: None, .. }) if *ended >= asked => {
                return Err(ApiError::Unavailable("a key cannot be looked up".into()));
            }
            _ => {}
        }
        let is_known = matches!(&*last, Some(Query { found: Some(Found::Valid(_)), .. }));
        let permit = if is_known { None } else { Arc::clone(&self.unknown_queries).acquire_owned().await.ok() };
        let db = self.db.clone();
        // A task of its own: with a client that goes away, its connection to the database would be closed, and a stranger could
        // close one after the other.
        let query = async move {
            let began = Instant::now();
            let found = db.run(async |db| find_credential(db, &digest).await).await;
            *last = Some(Query { began, ended: Instant::now(), found: found.as_ref().ok().cloned() });
            drop(permit);
            found
        };
        let found = tokio::spawn(query.in_current_span()).await.map_err(|error| ApiError::Internal(error.into()))?;
        found.map_err(Into::into)
    }

    fn slot(&self, digest: Digest) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_HASHES && !slots.contains_key(&digest) {
            make_room(&mut slots);
        }
        Arc::clone(slots.entry(digest).or_default())
    }
}

/// Forgets the hashes of no valid key; if these are few, all. So it is done at most once for every 10,000 new hashes.
fn make_room(slots: &mut HashMap<Digest, Slot>) {
    let is_valid = |query: &Option<Query>| matches!(query, Some(Query { found: Some(Found::Valid(_)), .. }));
    slots.retain(|_, slot| slot.try_lock().is_ok_and(|query| is_valid(&query)));
    if slots.len() > MAX_HASHES / 2 {
        slots.clear();
    }
}

#[cfg(test)]
mod tests {
    use darkroom_model::Owner;
    use darkroom_shared::access::{Credential, KeyId, Scopes};

    use super::*;

    fn digest(number: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    fn slot(found: Found) -> Slot {
        let now = Instant::now();
        Arc::new(tokio::sync::Mutex::new(Some(Query { began: now, ended: now, found: Some(found) })))
    }

    #[test]
    fn a_flood_of_unknown_keys_displaces_no_valid_one() {
        let valid = Found::Valid(Credential {
            key: KeyId::now(),
            owner: Owner::DEFAULT,
            prefix: "dk_ab12cd".to_owned(),
            scopes: Scopes::all(),
            expires_at: None,
            upload: None,
        });
        let mut slots: HashMap<_, _> = (0..MAX_HASHES).map(|number| (digest(number), slot(Found::Unknown))).collect();
        slots.insert(digest(7), slot(valid.clone()));
        make_room(&mut slots);
        assert_eq!(slots.keys().copied().collect::<Vec<_>>(), [digest(7)]);

        slots.extend((0..MAX_HASHES).map(|number| (digest(number), slot(valid.clone()))));
        make_room(&mut slots);
        assert!(slots.is_empty(), "more valid keys than have room are looked up again");
    }
}
