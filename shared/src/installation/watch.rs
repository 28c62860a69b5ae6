//! The comparison every few seconds, and the generation, which the workers advance.

use std::time::Duration;

use tracing::{error, info, warn};

use super::{Installation, InstallationError, Marker, Mismatch, Store, record};

/// Time between two comparisons. Each is a query, and a request to the bucket and to staging.
const INTERVAL: Duration = Duration::from_secs(10);
/// Maximum time of one comparison. A worker starts without it where the bucket is silent: it is repeated before it matters.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two generations, of all workers together. A database that was restored to a point before the latest one is
/// noticed, so a restore that loses less than this may not be. Each is one small row and two small files.
const GENERATION: Duration = Duration::from_secs(30);

impl Installation {
    /// Compares now and every 10 s, and logs what changes; for ever. With `advances`, which is for workers, it also
    /// advances the generation while everything agrees.
    pub async fn watch(self, advances: bool) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.check_and_log().await;
            if advances && let Err(error) = self.advance().await {
                warn!("cannot advance the installation's generation: {error}");
            }
        }
    }

    /// Compares once, within 5 s, and logs what has changed since the latest comparison.
    pub async fn check_and_log(&self) {
        let before = self.mismatches();
        match tokio::time::timeout(TIMEOUT, self.check_all()).await {
            Ok(Err(error)) if error.mismatch().is_none() => warn!("cannot compare the installation: {error}"),
            Err(_) => warn!("cannot compare the installation: no response within {} s", TIMEOUT.as_secs()),
            Ok(_) => {}
        }
        let after = self.mismatches();
        for mismatch in after.iter().filter(|mismatch| !is_known(&before, mismatch)) {
            error!("{mismatch}. {}; see `darkroom-api doctor`", consequence(mismatch));
        }
        if after.is_empty() && !before.is_empty() {
            info!("the database, the bucket and staging belong together again");
        }
    }

    /// Advances the generation in the database and then in the markers, if the latest advance is 30 s ago and
    /// everything agrees.
    async fn advance(&self) -> Result<(), InstallationError> {
        if !self.has_agreed() {
            return Ok(());
        }
        let Some(record) = record::advance(&self.db, GENERATION.as_secs_f64()).await? else { return Ok(()) };
        if let Some(id) = record.bucket {
            self.write_marker(Store::Bucket, &Marker::with_id(&record, id)).await?;
        }
        if let Some(id) = record.staging {
            self.write_marker(Store::Staging, &Marker::with_id(&record, id)).await?;
        }
        Ok(())
    }

    /// Overwrites a marker.
    pub(super) async fn write_marker(&self, store: Store, marker: &Marker) -> Result<(), InstallationError> {
        let bytes = marker.to_json();
        match store {
            Store::Bucket => self.bucket.write_marker(bytes, true).await?,
            Store::Staging => self.staging.write_marker(bytes, true).await?,
        }
        Ok(())
    }

    fn has_agreed(&self) -> bool {
        let seen = self.seen.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        [&seen.bucket, &seen.staging].iter().all(|seen| seen.mismatch.is_none() && seen.agreed.is_some())
    }
}

/// Whether this kind of mismatch is known; its numbers may have changed.
fn is_known(known: &[Mismatch], mismatch: &Mismatch) -> bool {
    let kind = std::mem::discriminant(mismatch);
    known.iter().any(|known| known.store() == mismatch.store() && std::mem::discriminant(known) == kind)
}

fn consequence(mismatch: &Mismatch) -> &'static str {
    match (mismatch.is_restored_database(), mismatch.store()) {
        (true, _) => "Nothing is swept until it is adopted",
        (false, Store::Bucket) => "Nothing is rendered, deleted or swept",
        (false, Store::Staging) => "Uploads are refused, and nothing is rendered, deleted or swept",
    }
}
