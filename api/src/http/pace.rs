//! How slow a client may be.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client may send, or take, nothing; and how long it may pause within one message besides what
/// [`Pace::bytes_per_second`] allows for its length.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Measures the time for which one client was waited for, against the bytes that it sent or took meanwhile. The service's own
/// delays do not count.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    idle_timeout: Duration,
    /// The minimum rate; 0: none.
    bytes_per_second: u32,
    bytes: u64,
    /// Until the current wait.
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(IDLE_TIMEOUT, 0)
    }
}

impl Pace {
    pub(crate) fn new(idle_timeout: Duration, bytes_per_second: u32) -> Self {
        Self { idle_timeout, bytes_per_second, bytes: 0, waited: Duration::ZERO, waiting_since: None }
    }

    /// The client sent or took this many bytes.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The client is waited for from now on. Returns how long it may be.
    pub(crate) fn start_waiting(&mut self) -> Duration {
        self.waiting_since = Some(Instant::now());
        match self.bytes_per_second {
            0 => self.idle_timeout,
            rate => {
                let allowed =
                    self.idle_timeout + Duration::from_millis(self.bytes.saturating_mul(1000) / u64::from(rate));
                self.idle_timeout.min(allowed.saturating_sub(self.waited))
            }
        }
    }

    /// Whether the client has reached the minimum rate so far. One that has not may make room for others.
    pub(crate) fn is_kept(&self) -> bool {
        let rate = u128::from(self.bytes_per_second);
        self.waited.as_millis() * rate <= u128::from(self.bytes) * 1000
    }

    /// The client is no longer waited for.
    pub(crate) fn stop_waiting(&mut self) {
        self.waited += self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_below_the_minimum_rate_is_waited_for_no_longer() {
        let idle = Duration::from_secs(30);
        let mut pace = Pace { waited: Duration::from_secs(40), ..Pace::new(idle, 100) };
        pace.add(900);
        assert_eq!(pace.start_waiting(), Duration::ZERO, "900 bytes at 100 bytes per second allow 39 s");
        pace.add(1100);
        assert_eq!(pace.start_waiting(), Duration::from_secs(10), "2000 bytes allow 50 s");
        pace.add(1_000_000);
        assert_eq!(pace.start_waiting(), idle);
    }

    #[test]
    fn a_client_that_drips_does_not_keep_the_pace() {
        let mut pace = Pace { waited: Duration::from_secs(3), ..Pace::new(IDLE_TIMEOUT, 100) };
        pace.add(299);
        assert!(!pace.is_kept());
        pace.add(1);
        assert!(pace.is_kept());
    }

    #[test]
    fn without_a_minimum_rate_only_pauses_count() {
        let mut pace = Pace { waited: Duration::from_hours(1), ..Pace::default() };
        assert_eq!(pace.start_waiting(), IDLE_TIMEOUT);
    }
}
