//! A handler writes its result and completes its job in one transaction. A second attempt at the same job, whose lease is
//! lost, writes nothing.

use std::time::Duration;

use darkroom_queue::{
    Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue, migrate,
    sqlx::{self, PgPool},
    testing,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Charge {
    order: i64,
}

impl Job for Charge {
    const QUEUE: &'static str = "charge";
}

async fn charge(db: &PgPool, job: Charge, lease: Lease) -> Result<(), JobError> {
    let mut tx = db.begin().await?;
    // First: it locks the job, and fails where another worker has it.
    lease.complete(&mut tx).await?;
    sqlx::query("INSERT INTO example_charges (order_id) VALUES ($1)").bind(job.order).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS example_charges (order_id bigint)").execute(&db).await?;
    sqlx::raw_sql("TRUNCATE example_charges").execute(&db).await?;
    let supervisor = Supervisor::start(SupervisorOptions::new("exactly-once"), &db.connect_options())?;
    let pool = db.clone();
    supervisor.work(QueueOptions::new(4), move |job, lease| {
        let pool = pool.clone();
        async move { charge(&pool, job, lease).await }
    })?;
    enqueue(&mut *db.acquire().await?, &Charge { order: 1 }, &Enqueue::new()).await?;
    testing::settled(&db, Duration::from_secs(10)).await?;

    // An attempt that was taken for dead comes back.
    let stale = charge(&db, Charge { order: 1 }, testing::lease(1)).await;
    if let Err(refused) = stale {
        println!("the stale attempt: {refused}");
    }
    let charges: i64 = sqlx::query_scalar("SELECT count(*) FROM example_charges").fetch_one(&db).await?;
    println!("charged {charges} time(s)");
    supervisor.drain(Duration::from_secs(30)).await;
    Ok(())
}
