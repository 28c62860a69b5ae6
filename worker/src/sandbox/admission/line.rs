//! The line of large pictures: in the order of their numbers, whenever each of them comes.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// The numbers of those who wait.
#[derive(Debug, Default)]
pub(super) struct Line(watch::Sender<BTreeSet<u64>>);

/// A place in the line; left when dropped.
pub(super) struct Place<'a> {
    line: &'a Line,
    number: u64,
}

impl Line {
    /// Enters the line before those with larger numbers. No two have the same number.
    pub(super) fn enter(&self, number: u64) -> Place<'_> {
        self.0.send_modify(|line| _ = line.insert(number));
        Place { line: self, number }
    }
}

impl Place<'_> {
    /// Acquires as soon as this is the first place. If one with a smaller number enters meanwhile, what is acquired in part is
    /// given back, and acquired again after it.
    pub(super) async fn acquire_as_first<T, F: Future<Output = T>>(&self, acquire: impl Fn() -> F) -> T {
        let mut line = self.line.0.subscribe();
        let is_first = |line: &BTreeSet<u64>| line.first() == Some(&self.number);
        loop {
            // The sender lives as long as the line.
            _ = line.wait_for(is_first).await;
            tokio::select! {
                biased;
                _ = line.wait_for(|line| !is_first(line)) => {}
                acquired = acquire() => return acquired,
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.0.send_modify(|line| _ = line.remove(&self.number));
    }
}
