//! The ways in which an attempt may end, and what an operator sees afterwards.

use std::time::Duration;

use darkroom_queue::{
    Enqueue, Job, JobError, Lease, OrFail as _, QueueOptions, Supervisor, SupervisorOptions,
    control::{Control, JobFilter},
    enqueue, migrate,
    sqlx::PgPool,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Fetch {
    Succeed,
    Retry,
    RetryAfter,
    Fail,
    Snooze,
    Cancel,
}

impl Job for Fetch {
    const QUEUE: &'static str = "fetch";
    const MAX_ATTEMPTS: u32 = 5;
}

async fn fetch(job: Fetch, _: Lease) -> Result<(), JobError> {
    match job {
        Fetch::Succeed => Ok(()),
        // `?` on any error: again after the backoff, as long as attempts are left.
        Fetch::Retry => Ok(tokio::fs::read("/no/such/file").await.map(drop)?),
        // The server has answered `429 Too Many Requests` with `Retry-After: 3600`.
        Fetch::RetryAfter => Err(JobError::retry_after("429 Too Many Requests", Duration::from_hours(1))),
        // No other attempt would help.
        Fetch::Fail => "not a number".parse::<u32>().map(drop).or_fail(),
        // Not an error, and costs no attempt.
        Fetch::Snooze => Err(JobError::Snooze(Duration::from_mins(5))),
        Fetch::Cancel => Err(JobError::Cancelled),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let mut conn = db.acquire().await?;
    let all = [Fetch::Succeed, Fetch::Retry, Fetch::RetryAfter, Fetch::Fail, Fetch::Snooze, Fetch::Cancel];
    let mut jobs = Vec::new();
    for job in all {
        jobs.push(enqueue(&mut conn, &job, &Enqueue::new()).await?.id());
    }
    let supervisor = Supervisor::start(SupervisorOptions::new("outcomes"), &db.connect_options())?;
    supervisor.work(QueueOptions::new(8), fetch)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    supervisor.drain(Duration::from_secs(30)).await;

    let mut control = Control::new(&mut conn);
    for (id, job) in jobs.into_iter().zip(all) {
        let detail = control.show(id).await?.ok_or("the job is there")?;
        let error = detail.errors.last().map_or("", |error| error.message.as_str());
        let summary = detail.summary;
        let reason = summary.reason.map_or("", |reason| reason.as_str());
        println!("{:<11}{:<8} {reason:<10} attempts {}  {error}", format!("{job:?}"), summary.status, summary.attempts);
    }
    println!("{} job(s) of the queue in all", control.list(&JobFilter::default().queue(Fetch::QUEUE)).await?.len());
    Ok(())
}
