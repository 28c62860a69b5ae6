//! What this process knows of the owners that use it: their limits, their usage as last read, and what this process has added
//! since.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use darkroom_shared::quotas::{BytesIn, OwnerLimits, OwnerUsage};

/// For how long after an upload, or a request for the limits, the usage of an owner is read each second.
const READ_FOR: Duration = Duration::from_secs(10);
/// How old the limits of an owner that only reads may be.
const MAX_AGE: Duration = Duration::from_secs(30);
/// After how long without a request an owner is forgotten.
const FORGET_AFTER: Duration = Duration::from_mins(5);

/// Counts of one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Bytes of uploads in the current hour.
    pub(super) bytes_in: u64,
    /// Images that are queued or processing.
    pub(super) pending_images: u64,
    /// Images.
    pub(super) stored_images: u64,
    /// Bytes of files and renditions.
    pub(super) stored_bytes: u64,
}

impl Counts {
    /// An image of this size, before it is rendered.
    pub(super) fn of_image(bytes: u64) -> Self {
        Self { bytes_in: 0, pending_images: 1, stored_images: 1, stored_bytes: bytes }
    }

    fn map2(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            bytes_in: f(self.bytes_in, other.bytes_in),
            pending_images: f(self.pending_images, other.pending_images),
            stored_images: f(self.stored_images, other.stored_images),
            stored_bytes: f(self.stored_bytes, other.stored_bytes),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.map2(other, u64::saturating_add)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.map2(other, u64::saturating_sub)
    }
}

/// What is known of one owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its limits.
    pub(super) limits: OwnerLimits,
    /// What it uses.
    pub(super) counts: Counts,
    /// When the oldest image was uploaded that waits for its first attempt.
    pub(super) waiting_since: Option<DateTime<Utc>>,
}

/// An owner in memory.
#[derive(Debug)]
struct Entry {
    limits: OwnerLimits,
    /// As last read.
    read: Counts,
    waiting_since: Option<DateTime<Utc>>,
    /// Added by this process since the last read began.
    added: Counts,
    /// Reserved by uploads that have not ended.
    reserved: Counts,
    /// Bytes that are not written to the database yet.
    unsettled: u64,
    /// When it was last read; `None`: never.
    read_at: Option<Instant>,
    used_at: Instant,
    /// When its counts were last asked for.
    asked_at: Option<Instant>,
    /// Whether uploads are refused until its images wait less.
    is_held_back: bool,
}

impl Entry {
    fn counts(&self) -> Counts {
        self.read.plus(self.added).plus(self.reserved)
    }
}

/// A read of the usage of owners that has begun.
#[derive(Debug)]
pub(super) struct Reading {
    /// The owners, and what this process had added by then.
    added: HashMap<Owner, Counts>,
}

impl Reading {
    pub(super) fn owners(&self) -> Vec<Owner> {
        self.added.keys().copied().collect()
    }
}

/// The owners that have used this process lately.
#[derive(Debug)]
pub(super) struct Owners {
    defaults: OwnerLimits,
    entries: Mutex<HashMap<Owner, Entry>>,
}

impl Owners {
    pub(super) fn new(defaults: OwnerLimits) -> Self {
        Self { defaults, entries: Mutex::default() }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Owner, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, owner: Owner, act: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries();
        let entry = entries.entry(owner).or_insert_with(|| Entry {
            limits: self.defaults,
            read: Counts::default(),
            waiting_since: None,
            added: Counts::default(),
            reserved: Counts::default(),
            unsettled: 0,
            read_at: None,
            used_at: Instant::now(),
            asked_at: None,
            is_held_back: false,
        });
        act(entry)
    }

    /// The limits of an owner that sends a request; the defaults until its own are read.
    pub(super) fn limits(&self, owner: Owner) -> OwnerLimits {
        self.with(owner, |entry| {
            entry.used_at = Instant::now();
            entry.limits
        })
    }

    /// What is known of an owner, which is read each second from now on; `None`: it was not read lately.
    pub(super) fn known(&self, owner: Owner) -> Option<Known> {
        self.with(owner, |entry| {
            entry.asked_at = Some(Instant::now());
            let is_fresh = entry.read_at.is_some_and(|at| at.elapsed() < READ_FOR);
            let Entry { limits, waiting_since, .. } = *entry;
            is_fresh.then(|| Known { limits, counts: entry.counts(), waiting_since })
        })
    }

    /// Reserves what `reserve` says of the counts so far, in one step. Fails as it does.
    pub(super) fn reserve<E>(
        &self,
        owner: Owner,
        reserve: impl FnOnce(&OwnerLimits, &Counts) -> Result<Counts, E>,
    ) -> Result<Counts, E> {
        self.with(owner, |entry| {
            let more = reserve(&entry.limits, &entry.counts())?;
            entry.reserved = entry.reserved.plus(more);
            Ok(more)
        })
    }

    /// Ends a reservation, of which this was used.
    pub(super) fn settle(&self, owner: Owner, reserved: Counts, used: Counts) {
        self.with(owner, |entry| {
            entry.reserved = entry.reserved.minus(reserved);
            entry.added = entry.added.plus(used);
            entry.unsettled += used.bytes_in;
        });
    }

    /// Whether uploads of an owner are refused because its images wait too long: from `max` on, and then until none waits longer
    /// than half of it.
    pub(super) fn is_held_back(&self, owner: Owner, max: Duration) -> bool {
        self.with(owner, |entry| {
            let waited = entry.waiting_since.map_or(Duration::ZERO, age);
            entry.is_held_back = waited >= if entry.is_held_back { max / 2 } else { max };
            entry.is_held_back
        })
    }

    /// The bytes to be written to the database. Those that cannot be written come back by [`Self::keep_unsettled`].
    pub(super) fn take_unsettled(&self) -> Vec<BytesIn> {
        let take = |(owner, entry): (&Owner, &mut Entry)| {
            let bytes = std::mem::take(&mut entry.unsettled);
            (bytes > 0).then_some(BytesIn { owner: *owner, bytes })
        };
        self.entries().iter_mut().filter_map(take).collect()
    }

    pub(super) fn keep_unsettled(&self, unsettled: Vec<BytesIn>) {
        for BytesIn { owner, bytes } in unsettled {
            self.with(owner, |entry| entry.unsettled += bytes);
        }
    }

    /// Begins to read the owners that are due. Forgets those that have sent no request for long.
    pub(super) fn begin_reading(&self) -> Reading {
        let mut entries = self.entries();
        entries.retain(|_, entry| {
            let is_idle = entry.reserved == Counts::default() && entry.unsettled == 0;
            !is_idle || entry.used_at.elapsed() < FORGET_AFTER
        });
        let is_due = |entry: &Entry| {
            entry.asked_at.is_some_and(|at| at.elapsed() < READ_FOR)
                || entry.read_at.is_none_or(|at| at.elapsed() > MAX_AGE)
        };
        let due = entries.iter().filter(|(_, entry)| is_due(entry));
        Reading { added: due.map(|(owner, entry)| (*owner, entry.added)).collect() }
    }

    /// Begins to read one owner.
    pub(super) fn begin_reading_one(&self, owner: Owner) -> Reading {
        Reading { added: HashMap::from([(owner, self.with(owner, |entry| entry.added))]) }
    }

    /// What was read. Bytes that were not settled by then are still added.
    pub(super) fn finish_reading(&self, reading: &Reading, usage: &[OwnerUsage]) {
        for usage in usage {
            let Some(added) = reading.added.get(&usage.owner) else { continue };
            self.with(usage.owner, |entry| {
                entry.limits = usage.limits;
                entry.read = Counts {
                    bytes_in: usage.bytes_this_hour,
                    pending_images: usage.pending_images,
                    stored_images: usage.stored_images,
                    stored_bytes: usage.stored_bytes,
                };
                entry.waiting_since = usage.waiting_since;
                entry.added = entry.added.minus(*added);
                // Bytes are read only after they are settled, which may be later than this read.
                entry.added.bytes_in = entry.unsettled;
                entry.read_at = Some(Instant::now());
            });
        }
    }
}

/// How long ago this was.
pub(super) fn age(time: DateTime<Utc>) -> Duration {
    (Utc::now() - time).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const OWNER: Owner = Owner::DEFAULT;

    fn usage(pending_images: u64) -> OwnerUsage {
        OwnerUsage {
            owner: OWNER,
            limits: OwnerLimits::default(),
            bytes_this_hour: 0,
            pending_images,
            stored_images: 0,
            stored_bytes: 0,
            waiting_since: None,
        }
    }

    fn pending(owners: &Owners) -> u64 {
        owners.known(OWNER).unwrap().counts.pending_images
    }

    #[test]
    fn what_is_added_while_the_usage_is_read_is_counted_beside_it() {
        let owners = Owners::new(OwnerLimits::default());
        assert!(owners.known(OWNER).is_none());
        owners.settle(OWNER, Counts::default(), Counts::of_image(10));
        let reading = owners.begin_reading();
        assert_eq!(reading.owners(), [OWNER]);
        owners.settle(OWNER, Counts::default(), Counts::of_image(10));
        owners.finish_reading(&reading, &[usage(1)]);
        assert_eq!(pending(&owners), 2);
    }

    #[test]
    fn a_reservation_counts_until_it_ends() {
        let owners = Owners::new(OwnerLimits::default());
        owners.finish_reading(&owners.begin_reading_one(OWNER), &[usage(5)]);
        let reserved = owners.reserve(OWNER, |_, _| Ok::<_, ()>(Counts::of_image(10))).unwrap();
        assert_eq!(pending(&owners), 6);
        owners.settle(OWNER, reserved, Counts::default());
        assert_eq!(pending(&owners), 5);
    }

    #[test]
    fn bytes_count_once_whether_they_are_settled_or_not() {
        let owners = Owners::new(OwnerLimits::default());
        let bytes = || owners.known(OWNER).unwrap().counts.bytes_in;
        owners.settle(OWNER, Counts::default(), Counts { bytes_in: 7, ..Counts::default() });
        owners.finish_reading(&owners.begin_reading_one(OWNER), &[usage(0)]);
        assert_eq!(bytes(), 7, "not settled");
        let unsettled = owners.take_unsettled();
        owners.keep_unsettled(unsettled);
        assert_eq!(owners.take_unsettled(), [BytesIn { owner: OWNER, bytes: 7 }]);
        let settled = OwnerUsage { bytes_this_hour: 7, ..usage(0) };
        owners.finish_reading(&owners.begin_reading_one(OWNER), &[settled]);
        assert_eq!((bytes(), owners.take_unsettled()), (7, Vec::new()));
    }

    #[test]
    fn an_owner_is_held_back_until_its_images_wait_half_as_long_as_they_may() {
        let owners = Owners::new(OwnerLimits::default());
        let waits = |seconds| {
            let waiting_since = Some(Utc::now() - TimeDelta::seconds(seconds));
            owners.finish_reading(&owners.begin_reading_one(OWNER), &[OwnerUsage { waiting_since, ..usage(1) }]);
            owners.is_held_back(OWNER, Duration::from_mins(1))
        };
        assert!(!waits(50));
        assert!(waits(61));
        assert!(waits(35));
        assert!(!waits(25));
        assert!(!waits(50));
    }
}
