//! Two processes have one cron schedule, and every tick makes one job; an hour without any process is made up by one job.

use std::time::Duration;

use darkroom_queue::{
    Job, Lease, QueueOptions, Supervisor, SupervisorOptions, control::Control, migrate, sqlx::PgPool, testing,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Report {}

impl Job for Report {
    const QUEUE: &'static str = "report";
}

/// Starts what would be one process.
fn process(name: &str, db: &PgPool) -> Result<Supervisor, Box<dyn std::error::Error>> {
    let supervisor = Supervisor::start(SupervisorOptions::new(name), &db.connect_options())?;
    let name = name.to_owned();
    supervisor.work(QueueOptions::new(1), move |_: Report, _: Lease| {
        println!("a report, by process {name}");
        std::future::ready(Ok(()))
    })?;
    // Every two seconds; `*/15 * * * *` would be every quarter of an hour.
    supervisor.schedule("report", "*/2 * * * * *", || Report {})?;
    Ok(supervisor)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let (one, two) = (process("one", &db)?, process("two", &db)?);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for run in Control::new(&mut *db.acquire().await?).next_runs().await? {
        println!("schedule {} of queue {}: last {}, next {:?}", run.name, run.queue, run.last, run.next);
    }
    tokio::join!(one.drain(Duration::from_secs(5)), two.drain(Duration::from_secs(5)));

    testing::elapse(&mut *db.acquire().await?, Duration::from_hours(1)).await?;
    println!("an hour later");
    let three = process("three", &db)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    three.drain(Duration::from_secs(5)).await;
    Ok(())
}
