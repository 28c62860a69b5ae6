//! How far a busy queue is claimed.
//!
//! A claimed job leaves a dead entry in the index `jobs_next` until the next vacuum, and a claim that begins at the
//! index's head steps over all of them: after some 100,000 jobs that is most of its work. So while claims find all they
//! have room for, each begins where the one before ended. What may stand before that place (a job of a higher priority,
//! one that was handed back) waits until a claim begins at the head again: soon, or when there is nothing behind.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::job::JobId;

/// The longest time in which no claim begins at the head.
const SOON: Duration = Duration::from_millis(100);

/// A place in the order of claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) priority: i32,
    pub(super) turn: i64,
    pub(super) run_at: DateTime<Utc>,
    pub(super) id: JobId,
}

impl Place {
    /// Orders places as claims are ordered.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (Reverse(self.priority), self.turn, self.run_at, self.id)
    }
}

/// How far the queues of a process are claimed.
#[derive(Default)]
pub(super) struct Frontiers(HashMap<&'static str, Frontier>);

struct Frontier {
    /// Where the last claim ended, if it was full.
    place: Option<Place>,
    /// When a claim last began at the head.
    head: Instant,
}

impl Frontiers {
    /// Where the next claim of a queue is to begin; `None`: at the head.
    pub(super) fn place(&self, queue: &'static str) -> Option<&Place> {
        self.0.get(queue).filter(|frontier| frontier.head.elapsed() < SOON)?.place.as_ref()
    }

    /// A claim that began `from` there has ended at `last`; `None`: it found less than there was room for.
    pub(super) fn claimed(&mut self, queue: &'static str, from: Option<&Place>, last: Option<Place>) {
        let frontier = self.0.entry(queue).or_insert_with(|| Frontier { place: None, head: Instant::now() });
        frontier.place = last;
        if from.is_none() {
            frontier.head = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_goes_on_where_a_full_one_ended() {
        let ids: Vec<JobId> = JobId::ascending().take(2).collect();
        let place = |priority, turn, id| Place { priority, turn, run_at: DateTime::UNIX_EPOCH, id };
        let mut places = [place(0, 3, ids[1]), place(1, 9, ids[0]), place(0, 3, ids[0])];
        places.sort_by_key(Place::order);
        assert_eq!(places, [place(1, 9, ids[0]), place(0, 3, ids[0]), place(0, 3, ids[1])]);

        let mut frontiers = Frontiers::default();
        assert_eq!(frontiers.place("q"), None);
        frontiers.claimed("q", None, Some(places[0].clone()));
        assert_eq!((frontiers.place("q"), frontiers.place("other")), (Some(&places[0]), None));
        frontiers.claimed("q", Some(&places[0]), None);
        assert_eq!(frontiers.place("q"), None, "nothing is behind it");
    }
}
