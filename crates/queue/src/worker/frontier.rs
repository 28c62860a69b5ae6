//! How far a busy queue is claimed.
//!
//! A claimed job leaves a dead entry in the index `jobs_next` until the next vacuum, and a claim that begins at the head of
//! the index steps over all of them: after some 100,000 jobs that is most of its work. So while claims find as many jobs as
//! they have room for, each begins where the previous one ended. Jobs that stand before that position (of a higher
//! priority, or handed back) wait until a claim begins at the head again: within 100 ms, or when nothing stands behind.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::job::JobId;

/// The longest time in which no claim begins at the head.
const HEAD_INTERVAL: Duration = Duration::from_millis(100);

/// A position in the order of claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPosition {
    pub(crate) priority: i32,
    pub(crate) turn: i64,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) id: JobId,
}

impl ClaimPosition {
    /// A key that sorts positions as claims do.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        (Reverse(self.priority), self.turn, self.run_at, self.id)
    }
}

/// How far the queues of a process are claimed.
#[derive(Default)]
pub(crate) struct Frontiers(HashMap<&'static str, Frontier>);

struct Frontier {
    /// Where the last claim ended, if it was full.
    position: Option<ClaimPosition>,
    /// When a claim last began at the head.
    head: Instant,
}

impl Frontiers {
    /// Where the next claim of a queue is to begin; `None`: at the head.
    pub(crate) fn position(&self, queue: &'static str) -> Option<&ClaimPosition> {
        self.0.get(queue).filter(|frontier| frontier.head.elapsed() < HEAD_INTERVAL)?.position.as_ref()
    }

    /// A claim that began at `from` has ended at `last`; `None`: it found fewer jobs than it had room for.
    pub(crate) fn claimed(&mut self, queue: &'static str, from: Option<&ClaimPosition>, last: Option<ClaimPosition>) {
        let frontier = self.0.entry(queue).or_insert_with(|| Frontier { position: None, head: Instant::now() });
        frontier.position = last;
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
        let position = |priority, turn, id| ClaimPosition { priority, turn, run_at: DateTime::UNIX_EPOCH, id };
        let mut positions = [position(0, 3, ids[1]), position(1, 9, ids[0]), position(0, 3, ids[0])];
        positions.sort_by_key(ClaimPosition::order);
        assert_eq!(positions, [position(1, 9, ids[0]), position(0, 3, ids[0]), position(0, 3, ids[1])]);

        let mut frontiers = Frontiers::default();
        assert_eq!(frontiers.position("q"), None);
        frontiers.claimed("q", None, Some(positions[0].clone()));
        assert_eq!((frontiers.position("q"), frontiers.position("other")), (Some(&positions[0]), None));
        frontiers.claimed("q", Some(&positions[0]), None);
        assert_eq!(frontiers.position("q"), None, "nothing is behind it");
    }
}
