//! The periodic job that requeues images which failed because the bucket or the database could not be reached for
//! longer than all attempts of their jobs. Another attempt may succeed as long as the staged file is kept.
//!
//! It requeues nothing while the bucket or staging is away, so that an outage uses up no revivals (see
//! [`catalog::MAX_REVIVALS`]).

use darkroom_queue::{Handler, JobError, Lease, QueueError};
use darkroom_shared::{
    catalog,
    jobs::{self, RetryImages, ReviveError},
};
use sqlx::PgConnection;
use tracing::{info, warn};

use crate::{App, Handlers};

impl Handler<RetryImages> for Handlers {
    async fn run(&self, _: RetryImages, lease: Lease) -> Result<(), JobError> {
        retry_images(&self.0, &lease).await
    }
}

/// Images per transaction.
const BATCH: i64 = 500;
/// Images per run. More of them continue in another run at once, so that no run holds its place for hours.
const MAX_IMAGES: u64 = 50_000;

/// Requeues such images in batches, each with its jobs in one transaction.
async fn retry_images(app: &App, lease: &Lease) -> Result<(), JobError> {
    let find_due = async |db: &mut PgConnection| -> Result<_, JobError> {
        let since = catalog::now(db).await? - app.orphan_age;
        let is_any_due = !catalog::list_failed_unavailable(db, since, None, 1).await?.is_empty();
        Ok((since, is_any_due))
    };
    let (since, is_any_due) = app.db.run(find_due).await?;
    if !is_any_due {
        return Ok(());
    }
    if let Err(error) = probe_storage(app).await {
        warn!(%error, "images that an outage has failed wait: storage is still away");
        return Ok(());
    }
    let (mut requeued, mut after) = (0, None);
    // The next run goes on where a stopped one ended: requeued images are no longer listed.
    while lease.stop_reason().is_none() {
        let revive = async |tx: &mut PgConnection| -> Result<_, ReviveError> {
            let images = catalog::list_failed_unavailable(tx, since, after, BATCH).await?;
            Ok((jobs::revive_unavailable(tx, &images).await?, images.last().copied()))
        };
        // While Postgres does not know how many images an outage has failed, it would scan all of them for each.
        let last = match app.db.transaction_by_indexes(revive).await {
            Ok((revived, last)) => {
                requeued += revived;
                last
            }
            // A job was pruned meanwhile: the transaction is rolled back, and the same page gets a new job for it.
            Err(ReviveError::Queue(QueueError::KeyReleased)) => continue,
            Err(error) => return Err(error.into()),
        };
        match last {
            Some(_) => after = last,
            None => break,
        }
        if requeued >= MAX_IMAGES {
            info!(images = requeued, "requeued images that an outage has failed; more follow");
            return Err(JobError::Snooze(std::time::Duration::ZERO));
        }
    }
    if requeued > 0 {
        info!(images = requeued, "requeued images that failed because the bucket or the database could not be reached");
    }
    Ok(())
}

/// Checks that the bucket and staging answer.
async fn probe_storage(app: &App) -> Result<(), anyhow::Error> {
    app.bucket.probe().await?;
    app.staging.probe().await?;
    Ok(())
}
