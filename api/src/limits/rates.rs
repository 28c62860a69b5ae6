//! The rates of all clients of this process.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::gcra::{Rate, Remaining};

/// Maximum number of clients in memory, about 60 bytes each. Beyond it all are forgotten: that many clients within one window
/// are an attack from many addresses, which a rate for each does not stop.
const MAX_CLIENTS: usize = 200_000;
/// From so many clients on, those that have their whole quota again are forgotten.
const MIN_SWEEP: usize = 1024;

/// Counts the requests of each client.
#[derive(Debug)]
pub(super) struct Rates<C> {
    start: Instant,
    clients: Mutex<Clients<C>>,
}

#[derive(Debug)]
struct Clients<C> {
    /// The theoretical arrival time of each client that has not its whole quota, after `start`.
    arrivals: HashMap<C, Duration>,
    /// The number of clients at which the next sweep is due.
    sweep_at: usize,
}

impl<C: Eq + Hash> Rates<C> {
    pub(super) fn new() -> Self {
        let clients = Clients { arrivals: HashMap::new(), sweep_at: MIN_SWEEP };
        Self { start: Instant::now(), clients: Mutex::new(clients) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// After how long another one may come.
    pub(super) fn take(&self, client: C, rate: Rate) -> Result<Remaining, Duration> {
        let now = self.start.elapsed();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.arrivals.len() >= clients.sweep_at {
            clients.sweep(now);
        }
        rate.take(clients.arrivals.entry(client).or_default(), now)
    }
}

impl<C: Eq + Hash> Clients<C> {
    /// Takes time linear in the number of clients, once for each time that the number doubles.
    fn sweep(&mut self, now: Duration) {
        self.arrivals.retain(|_, arrival| *arrival > now);
        if self.arrivals.len() >= MAX_CLIENTS {
            self.arrivals.clear();
        }
        self.sweep_at = (2 * self.arrivals.len()).clamp(MIN_SWEEP, MAX_CLIENTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_quota() {
        let rates = Rates::new();
        let rate = Rate { quota: 2, window: Duration::from_hours(1) };
        assert_eq!(rates.take(1, rate).unwrap().units, 1);
        assert_eq!(rates.take(1, rate).unwrap().units, 0);
        assert!(rates.take(1, rate).is_err());
        assert_eq!(rates.take(2, rate).unwrap().units, 1);
    }

    #[test]
    fn clients_without_a_debt_are_forgotten() {
        let mut clients = Clients { arrivals: HashMap::new(), sweep_at: MIN_SWEEP };
        clients.arrivals.insert(1, Duration::from_secs(1));
        clients.arrivals.insert(2, Duration::from_secs(3));
        clients.sweep(Duration::from_secs(2));
        assert_eq!(clients.arrivals.keys().collect::<Vec<_>>(), [&2]);
        clients.arrivals.extend((0..MAX_CLIENTS).map(|client| (client, Duration::from_secs(9))));
        clients.sweep(Duration::from_secs(2));
        assert!(clients.arrivals.is_empty());
    }
}
