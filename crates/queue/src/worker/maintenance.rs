//! Prunes old rows and logs warnings, from time to time. Every process does; what one has removed, the others miss.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{connection::ReconnectingConnection, vital_task::EndedTask};
use crate::{
    control::{Control, Pruned, Warning},
    options::{Retention, SupervisorOptions, Thresholds},
    schema::Schema,
    timeout::with_timeout,
};

/// Time between two prunings, give or take a quarter.
const PRUNE_INTERVAL: Duration = Duration::from_mins(10);
/// Time between two checks, give or take a quarter.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);

/// Starts both tasks. They end when the process drains.
pub(super) fn spawn(
    options: &SupervisorOptions,
    draining: &CancellationToken,
    ended: &EndedTask,
    connection: impl Fn(&'static str) -> ReconnectingConnection,
) {
    let pruner = Pruner {
        schema: options.schema.clone(),
        retention: options.retention,
        draining: draining.clone(),
        connection: connection("prune"),
    };
    ended.spawn("prune", draining, pruner.run());
    let checker = Checker {
        schema: options.schema.clone(),
        thresholds: options.thresholds,
        lease: options.lease,
        draining: draining.clone(),
        connection: connection("check"),
    };
    ended.spawn("check", draining, checker.run());
}

/// The task that prunes.
struct Pruner {
    schema: Schema,
    retention: Retention,
    draining: CancellationToken,
    connection: ReconnectingConnection,
}

impl Pruner {
    /// Prunes until the process drains.
    async fn run(mut self) {
        let draining = self.draining.clone();
        let work = async {
            loop {
                let result = self.prune().await;
                self.connection.rest(result, PRUNE_INTERVAL).await;
            }
        };
        tokio::select! {
            () = draining.cancelled() => {}
            () = work => {}
        }
    }

    async fn prune(&mut self) -> Result<(), sqlx::Error> {
        let mut control = Control::new(self.connection.open().await?).schema(self.schema.clone());
        let pruned = control.prune(self.retention).await?;
        if pruned != Pruned::default() {
            info!(jobs = pruned.jobs, workers = pruned.workers, schedules = pruned.schedules, "pruned");
        }
        Ok(())
    }
}

/// The task that logs warnings.
struct Checker {
    schema: Schema,
    thresholds: Thresholds,
    lease: Duration,
    draining: CancellationToken,
    connection: ReconnectingConnection,
}

impl Checker {
    /// Checks until the process drains. A condition is logged when it begins and when it has ended.
    async fn run(mut self) {
        let draining = self.draining.clone();
        let work = async {
            let mut known = Vec::new();
            loop {
                let result = self.check(&mut known).await;
                self.connection.rest(result, CHECK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = draining.cancelled() => {}
            () = work => {}
        }
    }

    async fn check(&mut self, known: &mut Vec<Warning>) -> Result<(), sqlx::Error> {
        let mut control = Control::new(self.connection.open().await?).schema(self.schema.clone());
        let found = with_timeout(control.check(self.thresholds, self.lease)).await?;
        log_changes(known, &found);
        *known = found;
        Ok(())
    }
}

fn log_changes(known: &[Warning], found: &[Warning]) {
    let is_known = |warning: &Warning| known.iter().any(|known| known.condition() == warning.condition());
    for warning in found.iter().filter(|warning| !is_known(warning)) {
        warn!("{warning}");
    }
    let has_ended = |known: &&Warning| found.iter().all(|found| found.condition() != known.condition());
    for ended in known.iter().filter(has_ended) {
        info!("no longer: {ended}");
    }
}
