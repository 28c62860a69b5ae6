//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential backoff with full jitter: before attempt `n + 1` a time drawn evenly from zero to
/// `min(longest, first × 2ⁿ⁻¹)`. Full jitter spreads retries best after a common fault (Brooker, "Exponential Backoff And
/// Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Default for Backoff {
    /// 2 s, 4 s, 8 s … 10 min.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(2), Duration::from_mins(10))
    }
}

impl Backoff {
    /// At most `first` after the first attempt, twice as long after each further one, and never longer than `longest`.
    #[must_use]
    pub const fn exponential(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The longest wait after `failed` failed attempts, one or more.
    pub fn ceiling(&self, failed: u32) -> Duration {
        self.first.saturating_mul(1 << failed.saturating_sub(1).min(31)).min(self.longest)
    }

    /// A random wait after `failed` failed attempts, one or more.
    pub(crate) fn draw(&self, failed: u32) -> Duration {
        self.ceiling(failed).mul_f64(rand::random())
    }
}

/// A random time between three and five quarters of `period`, so that processes that start together do not stay in step.
pub(crate) fn jittered(period: Duration) -> Duration {
    period.mul_f64(0.75 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_never_exceeds_its_ceiling_nor_the_longest(first in 0_u64..1 << 40, longest in 0_u64..1 << 40, failed: u32) {
            let backoff = Backoff::exponential(Duration::from_micros(first), Duration::from_micros(longest));
            let wait = backoff.draw(failed);
            prop_assert!(wait <= backoff.ceiling(failed));
            prop_assert!(backoff.ceiling(failed) <= backoff.longest);
        }

        #[test]
        fn the_ceiling_doubles_until_the_longest(failed in 1_u32..40) {
            let backoff = Backoff::default();
            prop_assert_eq!(backoff.ceiling(failed + 1), (backoff.ceiling(failed) * 2).min(backoff.longest));
        }

        #[test]
        fn a_jittered_period_stays_within_a_quarter(millis in 1_u64..1 << 30) {
            let period = Duration::from_millis(millis);
            let drawn = jittered(period);
            prop_assert!(drawn >= period.mul_f64(0.75) && drawn <= period.mul_f64(1.25));
        }
    }
}
