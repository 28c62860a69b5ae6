//! The bounds of connections and of requests in flight, and who makes room where they are reached.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use super::client::Client;

/// Connections beyond the maximum, which are accepted to answer probes, and everything else with 503. Half of them are for
/// connections that are known to be probes.
pub(crate) const RESERVE: usize = 64;
/// How long a client must have been waited for before its connection makes room for another, in milliseconds. One that sends
/// steadily over a bad link pauses less.
const EVICTABLE_MS: u64 = 1000;
/// The same in the reserve, where a request has begun and is not complete: that of a probe arrives in one piece.
const RESERVE_EVICTABLE_MS: u64 = 20;
/// The same in the reserve, where nothing has arrived yet: the process that probes may be busy after it has connected.
const SILENT_EVICTABLE_MS: u64 = 100;

/// Maximum numbers of connections and requests.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open connections, besides a reserve of 64 for probes.
    pub connections: usize,
    /// Requests between their headers and the end of their response, probes not counted.
    pub requests: usize,
}

/// The open connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    regular: HashMap<u64, Arc<Client>>,
    reserve: HashMap<u64, Arc<Client>>,
    /// Requests in flight that count.
    requests: usize,
}

/// An open connection; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    pub(crate) client: Arc<Client>,
    /// Whether it is beyond the maximum: only probes are answered.
    pub(crate) is_reserve: bool,
}

/// A request in progress; dropping it ends the request.
#[derive(Debug)]
pub(crate) struct RequestSlot {
    connections: Arc<Connections>,
    client: Arc<Client>,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. At the maximum, the one whose client has been waited for longest is closed; if none has been waited for
    /// longer than a second, the new one is in the reserve. `None`: the reserve has no room either at this moment.
    /// `is_probe`: whether its first request is known to be a probe.
    pub(crate) fn add(self: &Arc<Self>, is_probe: bool) -> Option<Connection> {
        let client = Arc::new(Client::default());
        let mut open = self.open();
        let id = open.next;
        open.next += 1;
        let is_reserve = open.regular.len() >= self.limits.connections && !open.evict(EVICTABLE_MS, |_| true);
        if !is_reserve {
            open.regular.insert(id, Arc::clone(&client));
        } else if open.reserve.len() < if is_probe { RESERVE } else { RESERVE / 2 } || open.evict_reserve(evictable_ms)
        {
            open.reserve.insert(id, Arc::clone(&client));
        } else {
            return None;
        }
        drop(open);
        Some(Connection { connections: Arc::clone(self), id, client, is_reserve })
    }
}

impl Connection {
    /// Begins a request. `Err`: there are too many in flight, none of them waiting for its client; the slot is for the answer.
    /// `is_counted`: whether the request needs one of the slots.
    pub(crate) fn begin_request(&self, is_counted: bool) -> Result<RequestSlot, RequestSlot> {
        self.client.begins_request();
        let slot = RequestSlot { connections: Arc::clone(&self.connections), client: Arc::clone(&self.client) };
        if !is_counted {
            return Ok(slot);
        }
        let mut open = self.connections.open();
        let is_free = open.requests < self.connections.limits.requests
            || open.evict(EVICTABLE_MS, |client| client.is_counted.load(Ordering::Relaxed));
        if !is_free {
            drop(open);
            return Err(slot);
        }
        open.requests += 1;
        self.client.is_counted.store(true, Ordering::Relaxed);
        Ok(slot)
    }
}

impl Open {
    /// Closes the regular connection whose client has been waited for longest, if longer than `min_ms`.
    fn evict(&mut self, min_ms: u64, is_candidate: impl Fn(&Client) -> bool) -> bool {
        let candidates = self.regular.iter().filter(|(_, client)| is_candidate(client));
        let Some(id) = waited_longest(candidates, min_ms) else { return false };
        if let Some(client) = self.regular.remove(&id) {
            self.uncount(&client);
            client.evict();
        }
        true
    }

    /// Closes the connection of the reserve whose client has been waited for longest, if longer than `min_ms` says.
    fn evict_reserve(&mut self, min_ms: impl Fn(&Client) -> u64) -> bool {
        let is_candidate = |client: &Client| client.waited_ms().is_some_and(|waited| waited >= min_ms(client));
        let candidates = self.reserve.iter().filter(|(_, client)| is_candidate(client));
        let Some(id) = waited_longest(candidates, 0) else { return false };
        if let Some(client) = self.reserve.remove(&id) {
            client.evict();
        }
        true
    }

    fn uncount(&mut self, client: &Client) {
        if client.is_counted.swap(false, Ordering::Relaxed) {
            self.requests -= 1;
        }
    }
}

/// How long a connection of the reserve may wait while others need its place.
fn evictable_ms(client: &Client) -> u64 {
    if client.is_silent() { SILENT_EVICTABLE_MS } else { RESERVE_EVICTABLE_MS }
}

/// The connection whose client has been waited for longest, if for at least `min_ms`; the oldest of several.
fn waited_longest<'a>(connections: impl Iterator<Item = (&'a u64, &'a Arc<Client>)>, min_ms: u64) -> Option<u64> {
    let waiting = connections.filter_map(|(id, client)| Some((client.waited_ms()?, Reverse(*id))));
    waiting.filter(|(waited, _)| *waited >= min_ms).max().map(|(_, Reverse(id))| id)
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.regular.remove(&self.id);
        open.reserve.remove(&self.id);
        open.uncount(&self.client);
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.client.ends_request();
        self.connections.open().uncount(&self.client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(connections: usize, requests: usize) -> Arc<Connections> {
        Connections::new(ConnectionLimits { connections, requests })
    }

    #[test]
    fn beyond_the_maximum_connections_are_in_the_reserve() {
        let connections = connections(2, 9);
        let regular: Vec<_> = (0..2).map(|_| connections.add(false).unwrap()).collect();
        let reserve: Vec<_> = (0..RESERVE / 2).map(|_| connections.add(false).unwrap()).collect();
        assert!(regular.iter().all(|connection| !connection.is_reserve));
        assert!(reserve.iter().all(|connection| connection.is_reserve));
        assert!(!connections.open().evict_reserve(|_| 0), "none of them has been looked at yet");
        assert!(connections.add(false).is_none());
        assert!(connections.add(true).is_some(), "half of the reserve is for probes");
        let busy: Vec<_> = reserve.iter().skip(1).map(|connection| connection.begin_request(false).unwrap()).collect();
        reserve[0].client.starts_to_wait();
        assert!(connections.open().evict_reserve(|_| 0), "one has not sent its request yet");
        assert!(!connections.open().evict_reserve(|_| 0), "all others are in a request");
        let replacement = connections.add(false).unwrap();
        drop((busy, regular));
        assert!(replacement.is_reserve && !connections.add(false).unwrap().is_reserve);
    }

    #[test]
    fn requests_in_flight_are_bounded_and_probes_do_not_count() {
        let connections = connections(9, 1);
        let [first, second] = [connections.add(false).unwrap(), connections.add(false).unwrap()];
        let slot = first.begin_request(true).unwrap();
        assert!(second.begin_request(true).is_err());
        assert!(second.begin_request(false).is_ok());
        drop(slot);
        assert!(second.begin_request(true).is_ok());
    }

    #[test]
    fn the_connection_waited_for_longest_makes_room() {
        let connections = connections(2, 2);
        let [first, second] = [connections.add(false).unwrap(), connections.add(false).unwrap()];
        let slot = first.begin_request(true).unwrap();
        // The first waits for the service, the second for its client.
        second.client.starts_to_wait();
        assert!(connections.open().evict(0, |_| true));
        assert_eq!(connections.open().regular.keys().copied().collect::<Vec<_>>(), [first.id]);
        first.client.starts_to_wait();
        assert!(connections.open().evict(0, |_| true));
        assert_eq!(connections.open().requests, 0);
        drop((slot, first, second));
        assert_eq!(connections.open().requests, 0, "an evicted request is not counted twice");
    }
}
