//! A thousand jobs by one statement, half of them duplicates; and a key that is free again when its job ends.

use darkroom_queue::{Enqueue, Enqueued, Job, enqueue, enqueue_all, migrate, sqlx::PgPool};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Index {
    page: u32,
}

impl Job for Index {
    const QUEUE: &'static str = "index";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let mut tx = db.begin().await?;

    // Pages 0 to 499, each twice. Its key makes a job unique until it is pruned.
    let jobs: Vec<(Index, Enqueue)> =
        (0..1000).map(|n| (Index { page: n % 500 }, Enqueue::new().key(format!("page-{}", n % 500)))).collect();
    let answers = enqueue_all(&mut tx, jobs.iter().map(|(job, how)| (job, how))).await?;
    let new = answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count();
    println!("{new} new, {} duplicates", answers.len() - new);
    println!("answer 500 names the job of answer 0: {}", answers[500].id() == answers[0].id());

    // At most one unfinished job: a second request while it waits adds nothing, one after its end does.
    let once = Enqueue::new().once("reindex");
    let first = enqueue(&mut tx, &Index { page: 0 }, &once).await?;
    let second = enqueue(&mut tx, &Index { page: 0 }, &once).await?;
    println!("the second is a duplicate of the first: {}", second == Enqueued::Duplicate(first.id()));
    // The transaction is dropped: nothing was enqueued.
    Ok(())
}
