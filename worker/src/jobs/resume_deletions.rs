//! The periodic job that enqueues deletions which no job carries out any more. Its cost follows the number of images that
//! are being deleted.

use darkroom_queue::{Handler, JobError, Lease, QueueError};
use darkroom_shared::{
    catalog,
    jobs::{self, ResumeDeletions},
};
use tracing::info;

use crate::{App, Handlers};

impl Handler<ResumeDeletions> for Handlers {
    async fn run(&self, _: ResumeDeletions, lease: Lease) -> Result<(), JobError> {
        resume_deletions(&self.0, &lease).await
    }
}

/// Images per statement.
const BATCH: i64 = 500;

async fn resume_deletions(app: &App, lease: &Lease) -> Result<(), JobError> {
    let mut resumed = 0;
    let mut before = None;
    // The next run goes on where a stopped one ended: only images without a job are enqueued.
    while lease.stop_reason().is_none() {
        let mut db = app.pool.acquire().await?;
        let images = catalog::list_deleting(&mut db, before, BATCH).await?;
        match jobs::resume_deletions(&mut db, &images).await {
            Ok(enqueued) => resumed += enqueued,
            // One of the deletions ended meanwhile: list the same page again, which is shorter now.
            Err(QueueError::KeyReleased) => continue,
            Err(error) => return Err(error.into()),
        }
        match images.last() {
            Some(last) => before = Some(*last),
            None => break,
        }
    }
    if resumed > 0 {
        info!(images = resumed, "enqueued deletions that no job carried out");
    }
    Ok(())
}
