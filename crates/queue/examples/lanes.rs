//! One tenant enqueues ten thousand jobs, then another ten: the ten do not wait for the thousands.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use darkroom_queue::{
    Enqueue, Job, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue_all, migrate, sqlx::PgPool, testing,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Convert {
    tenant: String,
}

impl Job for Convert {
    const QUEUE: &'static str = "convert";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let mut conn = db.acquire().await?;
    for (tenant, count) in [("large", 10_000), ("small", 10)] {
        let how = Enqueue::new().lane(tenant);
        let jobs: Vec<Convert> = (0..count).map(|_| Convert { tenant: tenant.into() }).collect();
        for thousand in jobs.chunks(1000) {
            enqueue_all(&mut conn, thousand.iter().map(|job| (job, &how))).await?;
        }
    }
    // Above lanes stand priorities: this one runs first.
    let urgent = Convert { tenant: "urgent".into() };
    enqueue_all(&mut conn, [(&urgent, &Enqueue::new().lane("large").priority(1))]).await?;

    let supervisor = Supervisor::start(SupervisorOptions::new("lanes"), &db.connect_options())?;
    let started = Arc::new(AtomicU32::new(0));
    supervisor.work(QueueOptions::new(1), move |job: Convert, _: Lease| {
        let n = started.fetch_add(1, Ordering::Relaxed) + 1;
        if job.tenant != "large" {
            println!("{:>3}. {}", n, job.tenant);
        }
        std::future::ready(Ok(()))
    })?;
    testing::settled(&db, Duration::from_mins(2)).await?;
    supervisor.drain(Duration::from_secs(30)).await;
    Ok(())
}
