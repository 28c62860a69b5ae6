//! Processes die of a job until it is quarantined, and an operator releases it after the fix.

use std::{env, process::Command, time::Duration};

use darkroom_queue::{
    Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, control::Control, enqueue, migrate,
    sqlx::PgPool, testing,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Parse {}

impl Job for Parse {
    const QUEUE: &'static str = "parse";
}

async fn crashes(_: Parse, _: Lease) -> Result<(), JobError> {
    std::process::abort()
}

async fn is_fixed(_: Parse, lease: Lease) -> Result<(), JobError> {
    println!("attempt {} succeeds", lease.attempt());
    Ok(())
}

/// Short leases, so that the example takes seconds.
fn options(name: &str) -> SupervisorOptions {
    SupervisorOptions::new(name).lease(Duration::from_secs(2)).heartbeat(Duration::from_millis(200))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&env::var("DATABASE_URL")?).await?;
    let is_child = env::args().nth(1).is_some();
    if is_child {
        let supervisor = Supervisor::start(options("child"), &db.connect_options())?;
        supervisor.work(QueueOptions::new(4), crashes)?;
        std::future::pending::<()>().await;
    }
    migrate(&db).await?;
    let mut conn = db.acquire().await?;
    let job = enqueue(&mut conn, &Parse {}, &Enqueue::new()).await?.id();
    let mut deaths = 0;
    while deaths < 3 {
        Command::new(env::current_exe()?).arg("child").stderr(std::process::Stdio::null()).status()?;
        deaths += 1;
        println!("a process has died");
    }
    // The next process finds that three workers have died over this job.
    let supervisor = Supervisor::start(options("parent"), &db.connect_options())?;
    supervisor.work(QueueOptions::new(4), is_fixed)?;
    testing::settled(&db, Duration::from_secs(30)).await?;
    let detail = Control::new(&mut conn).show(job).await?.ok_or("the job is there")?;
    println!("{} because {}", detail.summary.status, detail.summary.reason.ok_or("it was killed")?);

    Control::new(&mut conn).release(job).await?;
    println!("released: it runs alone");
    testing::settled(&db, Duration::from_secs(30)).await?;
    supervisor.drain(Duration::from_secs(5)).await;
    Ok(())
}
