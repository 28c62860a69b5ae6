//! The periodic job that removes the answers to requests with an `Idempotency-Key` that are too old to be given again. Its cost
//! follows the number of these.

use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{idempotency, jobs::PruneIdempotencyKeys};
use sqlx::PgConnection;

use crate::{App, Handlers};

impl Handler<PruneIdempotencyKeys> for Handlers {
    async fn run(&self, _: PruneIdempotencyKeys, lease: Lease) -> Result<(), JobError> {
        prune(&self.0, &lease).await
    }
}

/// Rows per statement, so that each takes milliseconds.
const BATCH: u16 = 1000;

async fn prune(app: &App, lease: &Lease) -> Result<(), JobError> {
    // The next run goes on where a stopped one ended.
    while lease.stop_reason().is_none() {
        let prune = async |db: &mut PgConnection| idempotency::prune(db, app.idempotency, BATCH.into()).await;
        if app.db.run(prune).await? < BATCH.into() {
            break;
        }
    }
    Ok(())
}
