//! An operator cancels a running job, and blocking work on a thread notices.

use std::{thread, time::Duration};

use darkroom_queue::{
    Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, control::Control, enqueue, migrate,
    sqlx::PgPool, testing,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Render {}

impl Job for Render {
    const QUEUE: &'static str = "render";
}

async fn render(_: Render, lease: Lease) -> Result<(), JobError> {
    // A thread cannot be dropped like a future: it must look.
    tokio::task::spawn_blocking(move || {
        for frame in 1..=1000 {
            if let Some(reason) = lease.stop_reason() {
                println!("stopped at frame {frame}: {reason:?}");
                return Err(JobError::Cancelled);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })
    .await?
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let mut conn = db.acquire().await?;
    let supervisor = Supervisor::start(SupervisorOptions::new("stop"), &db.connect_options())?;
    supervisor.work(QueueOptions::new(1), render)?;
    let job = enqueue(&mut conn, &Render {}, &Enqueue::new()).await?.id();
    tokio::time::sleep(Duration::from_millis(500)).await;

    println!("cancelled: {}", Control::new(&mut conn).cancel(job).await?);
    testing::settled(&db, Duration::from_secs(20)).await?;
    let summary = Control::new(&mut conn).show(job).await?.ok_or("the job is there")?.summary;
    println!("{} because {}", summary.status, summary.reason.ok_or("it was killed")?);
    supervisor.drain(Duration::from_secs(5)).await;
    Ok(())
}
