//! The periodic job that requeues images which failed because the bucket or the database could not be reached for
//! longer than all attempts of their jobs. Another attempt may succeed as long as the staged file is kept.

use darkroom_model::ImageId;
use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{
    catalog,
    jobs::{self, RetryImages},
};
use sqlx::PgConnection;
use tracing::info;

use crate::{App, Handlers};

impl Handler<RetryImages> for Handlers {
    async fn run(&self, _: RetryImages, _: Lease) -> Result<(), JobError> {
        retry_images(&self.0).await.map(drop)
    }
}

/// Maximum images that one job requeues; the next job continues.
const BATCH: i64 = 1000;

/// Requeues such images, each with its job in one transaction. Returns how many.
pub async fn retry_images(app: &App) -> Result<usize, JobError> {
    let list = async |db: &mut PgConnection| {
        let since = catalog::now(db).await? - app.orphan_age;
        catalog::list_failed_unavailable(db, since, BATCH).await
    };
    let images = app.db.run(list).await?;
    let mut requeued = 0;
    for image in images {
        requeued += usize::from(retry_image(app, image).await?);
    }
    if requeued > 0 {
        info!(images = requeued, "requeued images that failed because the bucket or the database could not be reached");
    }
    Ok(requeued)
}

async fn retry_image(app: &App, image: ImageId) -> Result<bool, JobError> {
    Ok(app.db.transaction(async |tx| jobs::retry_image(tx, image).await).await?)
}
