//! How to test: a handler without a database, then a whole queue with an hour moved forward.

use std::time::Duration;

use darkroom_queue::{
    Backoff, Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue, migrate,
    sqlx::PgPool,
    testing::{elapse, lease, queued, settled},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Remind {
    text: String,
}

impl Job for Remind {
    const QUEUE: &'static str = "remind";
}

async fn remind(job: Remind, lease: Lease) -> Result<(), JobError> {
    if lease.attempt() == 1 && job.text == "flaky" {
        return Err(JobError::retry("the mail server is away"));
    }
    println!("reminded of {}", job.text);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The handler alone.
    assert!(matches!(remind(Remind { text: "flaky".into() }, lease(1)).await, Err(JobError::Retry(_))));
    assert!(remind(Remind { text: "flaky".into() }, lease(2)).await.is_ok());

    // What a request has enqueued.
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let mut conn = db.acquire().await?;
    enqueue(&mut conn, &Remind { text: "lunch".into() }, &Enqueue::new().delay(Duration::from_hours(1))).await?;
    enqueue(&mut conn, &Remind { text: "flaky".into() }, &Enqueue::new()).await?;
    println!("{:?}", queued::<Remind>(&mut conn).await?.iter().map(|(_, job)| &job.text).collect::<Vec<_>>());

    // The queue until nothing is due; then an hour passes.
    let supervisor = Supervisor::start(SupervisorOptions::new("test"), &db.connect_options())?;
    let minutes = Backoff::exponential(Duration::from_mins(20), Duration::from_mins(20));
    supervisor.work(QueueOptions::new(4).backoff(minutes), remind)?;
    println!("{} have ended", settled(&db, Duration::from_secs(10)).await?.len());
    elapse(&mut conn, Duration::from_hours(1)).await?;
    println!("{} have ended", settled(&db, Duration::from_secs(10)).await?.len());
    supervisor.drain(Duration::from_secs(5)).await;
    Ok(())
}
