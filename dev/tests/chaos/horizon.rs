//! Sessions that sit in a transaction: one holds back the vacuum, one holds jobs locked.

use darkroom_dev::testing::stack::Setup;
use sqlx::Connection as _;

use crate::trial::Trial;

#[tokio::test]
async fn sessions_idle_in_a_transaction_hold_up_nothing_but_what_they_lock() {
    let mut trial = Trial::start(Setup { workers: 2, ..Setup::default() }).await;
    let mut historian = trial.pool.acquire().await.unwrap();
    let mut snapshot = historian.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query("SELECT count(*) FROM apalis.jobs").execute(&mut *snapshot).await.unwrap();

    trial.stack.queue_command(&["pause", "process-image"]).await;
    trial.upload_many(5).await;
    let mut session = trial.pool.acquire().await.unwrap();
    let mut locked = session.begin().await.unwrap();
    sqlx::query("SELECT id FROM apalis.jobs WHERE status = 'Pending' FOR UPDATE").execute(&mut *locked).await.unwrap();
    trial.stack.queue_command(&["resume", "process-image"]).await;
    trial.upload_many(100).await;
    trial.finished(100).await;
    let waiting = "count(*) FROM apalis.jobs WHERE job_type = 'process-image' AND status = 'Pending'";
    assert_eq!(trial.value::<i64>(waiting).await, 5, "those locked");

    locked.rollback().await.unwrap();
    trial.finished(105).await;
    snapshot.rollback().await.unwrap();
    drop((historian, session));
    trial.verdict().await;
}
