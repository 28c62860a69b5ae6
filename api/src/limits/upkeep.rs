//! What every process does once a second, whatever the number of requests: it says that it is alive, writes the bytes that it has
//! received, and reads what its owners use.

use std::time::{Duration, Instant};

use darkroom_model::Owner;
use darkroom_shared::quotas::{count_other_processes, leave, read_owners, settle_bytes_in, sum_stored};
use sqlx::PgConnection;
use std::sync::atomic::Ordering;
use tokio::time::{sleep, timeout};

use super::{Limiter, owners::Reading};

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);
/// The time between two rounds as a multiple of the time that the last one took: 5 % of the time is spent on them.
const INTERVAL_FACTOR: u32 = 20;
/// How many changes of stored images one statement sums.
const CHANGES: u16 = 10_000;
/// How many owners one statement reads.
const OWNERS: usize = 500;
/// How long the first upload of an owner waits for its usage. A database that does not respond fails the upload later.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// How far pending images are counted where there is no limit of them.
pub(super) const COUNTED_PENDING: u64 = 100_000;

impl Limiter {
    /// Runs for ever.
    pub async fn maintain(&self) {
        let mut fails = false;
        loop {
            let start = Instant::now();
            match self.round().await {
                Ok(()) => fails = false,
                Err(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::warn!("the limits of owners are as they were last read: {error}");
                    }
                }
            }
            sleep(INTERVAL.max(start.elapsed() * INTERVAL_FACTOR)).await;
        }
    }

    /// One round of [`Self::maintain`].
    async fn round(&self) -> Result<(), sqlx::Error> {
        let process = self.process;
        let others = self.db.run(async |db| count_other_processes(db, process).await).await?;
        self.processes.store(others.saturating_add(1), Ordering::Relaxed);
        self.settle().await?;
        let sum = async |db: &mut PgConnection| sum_stored(db, CHANGES.into()).await;
        while self.db.run(sum).await? >= CHANGES.into() {}
        self.read(&self.owners.begin_reading()).await
    }

    /// Writes the bytes that were received since the last time, and says that this process serves no more requests.
    pub async fn stop(&self) {
        let settled = self.settle().await;
        let left = self.db.run(async |db| leave(db, self.process).await).await;
        if let Err(error) = settled.and(left) {
            tracing::warn!("cannot write what the last uploads have used: {error}");
        }
    }

    async fn settle(&self) -> Result<(), sqlx::Error> {
        let sent = self.owners.take_unsettled();
        if sent.is_empty() {
            return Ok(());
        }
        let settled = self.db.run(async |db| settle_bytes_in(db, &sent).await).await;
        if settled.is_err() {
            self.owners.keep_unsettled(sent);
        }
        settled
    }

    async fn read(&self, reading: &Reading) -> Result<(), sqlx::Error> {
        let defaults = self.settings.owner;
        let bound = defaults.pending_images.unwrap_or(0).max(COUNTED_PENDING);
        for owners in reading.owners().chunks(OWNERS) {
            let usage = self.db.run(async |db| read_owners(db, owners, &defaults, bound).await).await?;
            self.owners.finish_reading(reading, &usage);
        }
        Ok(())
    }

    /// Reads the usage of an owner that was not read lately.
    pub(super) async fn ensure_known(&self, owner: Owner) {
        if self.owners.known(owner).is_some() {
            return;
        }
        let read = async {
            let _one_at_a_time = self.first_read.lock().await;
            if self.owners.known(owner).is_none() {
                self.read(&self.owners.begin_reading_one(owner)).await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        if let Ok(Err(error)) = timeout(FIRST_TIMEOUT, read).await {
            tracing::warn!("cannot read what an owner uses: {error}");
        }
    }
}
