//! When periodic jobs run: the place of Celery Beat, without a process of its own.
//!
//! Every replica looks at the database's clock and enqueues the current tick under a key made of it. The queue takes a
//! key once, so the job runs once a tick however many replicas there are. Ticks that nobody was there for are caught
//! up by one: the current one.

use std::{sync::Arc, time::Duration};

use darkroom_shared::{
    catalog,
    jobs::Sweep,
    queue::{self, Enqueue},
};
use tracing::warn;

use crate::App;

/// Between two sweeps: they list the whole bucket.
const SWEEP: Duration = Duration::from_hours(1);
/// Between two looks at the clock.
const LOOK: Duration = Duration::from_mins(1);

/// Enqueues periodic jobs, for ever. A database that is away is asked again at the next look.
pub async fn run(app: Arc<App>) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        if let Err(error) = enqueue_due(&app).await {
            warn!(%error, "cannot enqueue periodic jobs, trying again");
        }
    }
}

async fn enqueue_due(app: &App) -> anyhow::Result<()> {
    let mut tx = app.pool.begin().await?;
    let tick = catalog::now(&mut tx).await?.timestamp() / SWEEP.as_secs().cast_signed();
    queue::enqueue(&mut tx, &Sweep {}, &Enqueue::new().key(tick.to_string())).await?;
    tx.commit().await?;
    Ok(())
}
