//! Hears of new jobs, by LISTEN. Polling stands behind it, so a missed word costs time and not a job.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tracing::warn;

use super::{backoff::jittered, link::within, supervisor::Shared};

/// How long a silent connection is trusted. Then it is asked: a socket whose other end is gone looks just as silent.
const SILENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// Listens until the process drains.
pub(super) async fn run(shared: Arc<Shared>, options: PgConnectOptions) {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    loop {
        tokio::select! {
            () = shared.draining.cancelled() => return,
            result = listen(&shared, &pool) => if let Err(error) = result {
                warn!(%error, "cannot listen for new jobs: polling only");
            },
        }
        tokio::time::sleep(jittered(PAUSE)).await;
    }
}

async fn listen(shared: &Shared, pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut listener = within(PgListener::connect_with(pool)).await?;
    within(listener.listen("darkroom_queue")).await?;
    // Jobs may have come while nobody listened.
    shared.look_everywhere();
    shared.claimer.notify_one();
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(note))) => shared.look_at(note.payload()),
            // The connection was lost, and what was said meanwhile with it: start over.
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                within(listener.execute("SELECT 1")).await?;
            }
        }
    }
}
