//! The periodic job that folds the titles of stored images again after a new version has changed how titles are folded for
//! search. Where nothing has changed it reads an empty index.

use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{
    catalog::{self, CatalogError},
    jobs::RefoldTitles,
};
use sqlx::PgConnection;
use tracing::info;

use crate::{App, Handlers};

impl Handler<RefoldTitles> for Handlers {
    async fn run(&self, _: RefoldTitles, lease: Lease) -> Result<(), JobError> {
        refold_titles(&self.0, &lease).await
    }
}

/// Titles per transaction.
const BATCH: i64 = 1_000;

/// Batches per run. More of them continue in another run at once, so that no run holds its place for hours.
const MAX_BATCHES: usize = 500;

async fn refold_titles(app: &App, lease: &Lease) -> Result<(), JobError> {
    let mut titles = 0;
    for _ in 0..MAX_BATCHES {
        if lease.stop_reason().is_some() {
            return Ok(());
        }
        let refold =
            async |tx: &mut PgConnection| -> Result<_, CatalogError> { catalog::refold_titles(tx, BATCH).await };
        let batch = app.db.transaction(refold).await?;
        titles += batch;
        if batch < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            if titles > 0 {
                info!(titles, "folded the titles of stored images again");
            }
            return Ok(());
        }
    }
    info!(titles, "folded titles of stored images again; more follow");
    Err(JobError::Snooze(std::time::Duration::ZERO))
}
