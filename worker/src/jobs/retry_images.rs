//! The periodic job that tries images again that failed because the bucket or the database was away for longer than a
//! job's own attempts last. A later attempt may succeed, for as long as the upload is kept.

use darkroom_model::ImageId;
use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{
    catalog,
    jobs::{self, RetryImages},
};
use tracing::info;

use crate::{App, Handlers};

impl Handler<RetryImages> for Handlers {
    async fn run(&self, _: RetryImages, _: Lease) -> Result<(), JobError> {
        retry_images(&self.0).await.map(drop)
    }
}

/// Images brought back by one job at most; the next one takes the others.
const BATCH: i64 = 1000;

/// Brings such images back to `queued`, each with its job in one transaction. Returns how many.
pub async fn retry_images(app: &App) -> Result<usize, JobError> {
    let mut db = app.pool.acquire().await.map_err(JobError::retry)?;
    let since = catalog::now(&mut db).await.map_err(JobError::retry)? - app.orphan_age;
    let images = catalog::unavailable(&mut db, since, BATCH).await.map_err(JobError::retry)?;
    drop(db);
    let mut brought_back = 0;
    for image in images {
        brought_back += usize::from(retry_image(app, image).await?);
    }
    if brought_back > 0 {
        info!(images = brought_back, "brought back images that the bucket or the database had failed");
    }
    Ok(brought_back)
}

async fn retry_image(app: &App, image: ImageId) -> Result<bool, JobError> {
    let mut tx = app.pool.begin().await.map_err(JobError::retry)?;
    let is_back = jobs::retry_image(&mut tx, image).await.map_err(JobError::retry)?;
    tx.commit().await.map_err(JobError::retry)?;
    Ok(is_back)
}
