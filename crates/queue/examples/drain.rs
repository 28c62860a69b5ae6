//! SIGTERM lets running jobs end; what outlives the grace period is handed back without a lost attempt, and the exit code
//! says which. A second SIGTERM ends the process at once.

use std::{process::ExitCode, time::Duration};

use darkroom_queue::{
    Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue, migrate, sqlx::PgPool,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Serialize, Deserialize)]
struct Encode {
    seconds: u64,
}

impl Job for Encode {
    const QUEUE: &'static str = "encode";
}

async fn encode(job: Encode, lease: Lease) -> Result<(), JobError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(job.seconds)) => {
            println!("a job of {} s has ended", job.seconds);
            Ok(())
        }
        reason = lease.stopped() => {
            println!("a job of {} s is asked to stop: {reason:?}", job.seconds);
            Err(JobError::Cancelled)
        }
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let supervisor = Supervisor::start(SupervisorOptions::new("drain"), &db.connect_options())?;
    supervisor.work(QueueOptions::new(4), encode)?;
    for seconds in [1, 3600] {
        enqueue(&mut *db.acquire().await?, &Encode { seconds }, &Enqueue::new()).await?;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    // In place of an operator.
    std::process::Command::new("kill").arg(std::process::id().to_string()).status()?;

    terminate.recv().await;
    let drained = tokio::select! {
        drained = supervisor.drain(Duration::from_secs(2)) => drained,
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    let waiting = darkroom_queue::testing::queued::<Encode>(&mut *db.acquire().await?).await?;
    println!("{} dropped, {} left for others", drained.handed_back, waiting.len());
    Ok(if waiting.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
