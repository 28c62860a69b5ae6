//! Enqueue in the transaction that writes a row: both exist after the commit, neither after a rollback.

use darkroom_queue::{
    Enqueue, Job, Notifier, Schema, enqueue, migrate,
    sqlx::{self, PgPool},
    testing::queued,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct SendWelcome {
    user: i64,
}

impl Job for SendWelcome {
    const QUEUE: &'static str = "send-welcome";
}

/// What the handler of `POST /users` does.
async fn sign_up(db: &PgPool, notifier: &Notifier, email: &str) -> Result<i64, Box<dyn std::error::Error>> {
    let mut tx = db.begin().await?;
    let insert = sqlx::query_scalar("INSERT INTO example_users (email) VALUES ($1) RETURNING id").bind(email);
    let user: i64 = insert.fetch_one(&mut *tx).await?;
    enqueue(&mut tx, &SendWelcome { user }, &Enqueue::new()).await?;
    if !email.contains('@') {
        // The transaction is dropped, and with it the row and the job.
        return Err(format!("{email} is not an address").into());
    }
    tx.commit().await?;
    notifier.notify(SendWelcome::QUEUE);
    Ok(user)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&db).await?;
    let table =
        "CREATE TABLE IF NOT EXISTS example_users (id bigint GENERATED ALWAYS AS IDENTITY, email text NOT NULL)";
    sqlx::raw_sql(table).execute(&db).await?;

    let notifier = Notifier::start(Schema::default(), &db.connect_options(), false);
    let user = sign_up(&db, &notifier, "ada@example.com").await?;
    println!("user {user} signed up");
    if let Err(refused) = sign_up(&db, &notifier, "nonsense").await {
        println!("refused: {refused}");
    }
    for (id, job) in queued::<SendWelcome>(&mut *db.acquire().await?).await? {
        println!("job {id} will welcome user {}", job.user);
    }
    Ok(())
}
