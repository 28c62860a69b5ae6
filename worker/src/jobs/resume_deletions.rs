//! The periodic job that enqueues deletions which no job carries out any more. Its cost follows the number of images that
//! are being deleted.

use darkroom_queue::{Handler, JobError, Lease, QueueError};
use darkroom_shared::{
    catalog,
    jobs::{self, ResumeDeletions},
};
use sqlx::PgConnection;
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
    let mut after = None;
    // The next run goes on where a stopped one ended: only images without a job are enqueued.
    while lease.stop_reason().is_none() {
        let resume = async |db: &mut PgConnection| -> Result<_, JobError> {
            let images = catalog::list_deleting(db, after, BATCH).await?;
            match jobs::resume_deletions(db, &images).await {
                Ok(enqueued) => Ok(Some((enqueued, images.last().copied()))),
                Err(QueueError::KeyReleased) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        // `None`: one of the deletions ended meanwhile. The same page is listed again, which is shorter now.
        let Some((enqueued, last)) = app.db.run(resume).await? else { continue };
        resumed += enqueued;
        match last {
            Some(_) => after = last,
            None => break,
        }
    }
    if resumed > 0 {
        info!(images = resumed, "enqueued deletions that no job carried out");
    }
    Ok(())
}
