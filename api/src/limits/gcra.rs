//! The generic cell rate algorithm (ITU-T I.371, annex A): a quota of units in a window, without a history. Its only state is the
//! theoretical arrival time, until which the units that were used so far would have taken at an even rate.

use std::time::Duration;

/// A quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Units in a window, at least 1. All of them may come at once.
    pub(super) quota: u64,
    /// The window.
    pub(super) window: Duration,
}

/// What is left of a quota after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remaining {
    /// Units.
    pub(super) units: u64,
    /// When there will be one unit more.
    pub(super) more_in: Duration,
}

impl Rate {
    /// The share of one of `processes`; at least one unit.
    pub(super) fn share(self, processes: u32) -> Self {
        Self { quota: (self.quota / u64::from(processes.max(1))).max(1), ..self }
    }

    /// The time in which one unit becomes free.
    fn interval(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.window.as_nanos() / u128::from(self.quota.max(1))).unwrap_or(u64::MAX))
    }

    /// Uses one unit at `now`; `arrival` is the theoretical arrival time, after the same zero. Returns what remains.
    ///
    /// # Errors
    /// After how long a unit will be free. None is used.
    pub(super) fn take(self, arrival: &mut Duration, now: Duration) -> Result<Remaining, Duration> {
        let interval = self.interval();
        let next = (*arrival).max(now) + interval;
        let used = next.saturating_sub(now);
        if used > self.window {
            return Err(used.saturating_sub(self.window));
        }
        *arrival = next;
        let free = self.window.saturating_sub(used);
        let units = u64::try_from(free.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u64::MAX);
        let free_for_more = interval.saturating_mul(u32::try_from(units + 1).unwrap_or(u32::MAX)).min(self.window);
        Ok(Remaining { units, more_in: free_for_more.saturating_sub(free) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { quota: 10, window: Duration::from_secs(10) };

    #[test]
    fn a_whole_quota_may_come_at_once_and_then_one_unit_per_interval() {
        let mut arrival = Duration::ZERO;
        let now = Duration::from_secs(100);
        for left in (0..10).rev() {
            assert_eq!(RATE.take(&mut arrival, now).unwrap().units, left);
        }
        assert_eq!(RATE.take(&mut arrival, now), Err(Duration::from_secs(1)));
        let later = now + Duration::from_millis(400);
        assert_eq!(RATE.take(&mut arrival, later), Err(Duration::from_millis(600)));
        let next = now + Duration::from_secs(1);
        assert_eq!(RATE.take(&mut arrival, next).unwrap(), Remaining { units: 0, more_in: Duration::from_secs(1) });
        assert_eq!(RATE.take(&mut arrival, next), Err(Duration::from_secs(1)));
    }

    #[test]
    fn what_is_not_used_for_a_window_is_free_again() {
        let mut arrival = Duration::ZERO;
        while RATE.take(&mut arrival, Duration::ZERO).is_ok() {}
        let left = RATE.take(&mut arrival, Duration::from_secs(10)).unwrap();
        assert_eq!(left, Remaining { units: 9, more_in: Duration::from_secs(1) });
    }

    #[test]
    fn processes_share_a_quota_of_which_each_has_at_least_one_unit() {
        assert_eq!(RATE.share(3).quota, 3);
        assert_eq!(RATE.share(100).quota, 1);
        assert_eq!(RATE.share(0), RATE);
    }
}
