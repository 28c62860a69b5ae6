//! The smallest program: creates the tables, enqueues a job, runs it, shuts down.

use std::time::Duration;

use darkroom_queue::{
    Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue, migrate, sqlx::PgPool,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const QUEUE: &'static str = "greet";
}

async fn greet(job: Greet, _: Lease) -> Result<(), JobError> {
    println!("hello {}", job.name);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let supervisor = Supervisor::start(SupervisorOptions::new("first"), &db.connect_options())?;
    supervisor.work(QueueOptions::new(4), greet)?;

    let mut tx = db.begin().await?;
    enqueue(&mut tx, &Greet { name: "Ada".into() }, &Enqueue::new()).await?;
    tx.commit().await?;
    supervisor.notifier().notify(Greet::QUEUE);

    // A service would wait for SIGTERM here: see the example `drain`.
    darkroom_queue::testing::settled(&db, Duration::from_secs(10)).await?;
    supervisor.drain(Duration::from_secs(30)).await;
    Ok(())
}
