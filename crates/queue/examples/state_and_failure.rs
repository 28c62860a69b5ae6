//! A handler with state, and a failure hook that marks the user's row in the transaction that ends the job.

use std::time::Duration;

use darkroom_queue::{
    BoxError, Enqueue, Failure, Handler, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue,
    migrate,
    sqlx::{self, PgConnection, PgPool},
    testing,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Import {
    file: String,
}

impl Job for Import {
    const QUEUE: &'static str = "import";
}

struct Importer {
    /// Clients, pools and settings are fields; the compiler checks that they are there.
    known: Vec<&'static str>,
}

impl Handler<Import> for Importer {
    async fn run(&self, job: Import, _: Lease) -> Result<(), JobError> {
        if !self.known.contains(&job.file.as_str()) {
            return Err(JobError::fail(format!("there is no file {}", job.file)));
        }
        println!("imported {}", job.file);
        Ok(())
    }

    async fn failed(&self, tx: &mut PgConnection, job: &Import, why: &Failure) -> Result<(), BoxError> {
        let sql = "INSERT INTO example_imports (file, failure) VALUES ($1, $2)";
        sqlx::query(sql).bind(&job.file).bind(format!("{}: {}", why.reason, why.message)).execute(tx).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS example_imports (file text, failure text)").execute(&db).await?;
    let supervisor = Supervisor::start(SupervisorOptions::new("import"), &db.connect_options())?;
    supervisor.work(QueueOptions::new(4), Importer { known: vec!["a.csv"] })?;
    for file in ["a.csv", "b.csv"] {
        enqueue(&mut *db.acquire().await?, &Import { file: file.into() }, &Enqueue::new()).await?;
    }
    testing::settled(&db, Duration::from_secs(10)).await?;
    let failures: Vec<(String, String)> =
        sqlx::query_as("SELECT file, failure FROM example_imports").fetch_all(&db).await?;
    println!("{failures:?}");
    supervisor.drain(Duration::from_secs(30)).await;
    Ok(())
}
