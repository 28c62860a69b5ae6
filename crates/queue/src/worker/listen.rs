//! Receives notifications of new jobs, by LISTEN. Claims are polled as well, so a lost notification costs time and no job.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::registry::QueueRegistry;
use crate::{backoff::jittered, timeout::with_timeout};

/// How long a silent connection is trusted. Then it is tested: a socket whose other end is gone is just as silent.
const SILENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// The task that listens.
pub(super) struct Listener {
    pub(super) channel: String,
    pub(super) queues: Arc<QueueRegistry>,
    pub(super) wake_claimer: Arc<Notify>,
    pub(super) draining: CancellationToken,
}

impl Listener {
    /// Listens until the process drains.
    pub(super) async fn run(self, options: PgConnectOptions) {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return,
                result = self.listen(&pool) => if let Err(error) = result {
                    warn!(%error, "cannot listen for new jobs: polling only");
                },
            }
            tokio::time::sleep(jittered(PAUSE)).await;
        }
    }

    async fn listen(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = with_timeout(PgListener::connect_with(pool)).await?;
        with_timeout(listener.listen(&self.channel)).await?;
        // Jobs may have come while nothing listened.
        self.queues.mark_all_pending();
        self.wake_claimer.notify_one();
        loop {
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    if let Some(queue) = self.queues.get(notification.payload()) {
                        queue.mark_pending();
                        self.wake_claimer.notify_one();
                    }
                }
                // The connection was lost, with all notifications meanwhile: start over.
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    with_timeout(listener.execute("SELECT 1")).await?;
                }
            }
        }
    }
}
