//! Sessions idle in a transaction: one blocks vacuum, one has jobs locked.

use darkroom_dev::testing::stack::Setup;
use sqlx::Connection as _;

use crate::{
    database::{LOCK_PENDING_JOBS, READ_JOBS},
    harness::ChaosTest,
};

#[tokio::test]
async fn sessions_idle_in_a_transaction_delay_only_the_jobs_that_they_lock() {
    let mut test = ChaosTest::start(Setup { workers: 2, ..Setup::default() }).await;
    let mut reader = test.db.pool.acquire().await.unwrap();
    let mut snapshot = reader.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query(READ_JOBS).execute(&mut *snapshot).await.unwrap();

    test.stack.queue_command(&["pause", "process-image"]).await;
    test.upload_many(5).await;
    let mut session = test.db.pool.acquire().await.unwrap();
    let mut locked = session.begin().await.unwrap();
    sqlx::query(LOCK_PENDING_JOBS).execute(&mut *locked).await.unwrap();
    test.stack.queue_command(&["resume", "process-image"]).await;
    test.upload_many(100).await;
    test.db.wait_for_finished(100).await;
    assert_eq!(test.db.pending_image_jobs().await, 5, "the locked ones");

    locked.rollback().await.unwrap();
    test.db.wait_for_finished(105).await;
    snapshot.rollback().await.unwrap();
    drop((reader, session));
    test.assert_invariants().await;
}
