//! Connections to Postgres that break, or that Postgres refuses.

use std::time::{Duration, Instant};

use darkroom_dev::{postgres::Cluster, testing::stack::Setup};
use rand::RngExt as _;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use crate::{
    database::terminate_connections,
    harness::{ChaosTest, seeded_rng},
};

#[tokio::test]
async fn connections_terminated_again_and_again_lose_nothing() {
    let mut rng = seeded_rng();
    let mut test = ChaosTest::start(Setup { workers: 2, ..Setup::default() }).await;
    let terminate = async {
        for _ in 0..12 {
            sleep(Duration::from_millis(rng.random_range(50..600))).await;
            // On a busy machine no process may have reconnected yet.
            while terminate_connections(&test.db.pool).await == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    tokio::join!(terminate, test.upload_many(150));
    test.assert_invariants().await;
}

#[tokio::test]
async fn processes_wait_for_a_free_connection() {
    let cluster = Cluster::throwaway_with(false, vec!["max_connections=60".to_owned()]).await.unwrap();
    let database = Some(cluster.create_database("chaos").await.unwrap());
    let mut test = ChaosTest::start(Setup { workers: 2, database, ..Setup::default() }).await;
    test.upload_many(20).await;
    let hog = async {
        let mut taken = Vec::new();
        let mut full_since: Option<Instant> = None;
        while full_since.is_none_or(|since| since.elapsed() < Duration::from_secs(4)) {
            if let Ok(connection) = PgConnection::connect(&test.stack.database).await {
                taken.push(connection);
            } else {
                // The test has all free connections. This frees those of the stack, and the loop takes them too.
                full_since.get_or_insert_with(Instant::now);
                terminate_connections(&mut taken[0]).await;
            }
        }
    };
    tokio::join!(hog, test.upload_many(60));
    test.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn more_jobs_than_connections_share_them() {
    let few = vec![("DATABASE_CONNECTIONS", "2".to_owned()), ("WORKER_CONCURRENCY", "16".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 2, settings: few, ..Setup::default() }).await;
    test.upload_many(150).await;
    test.assert_invariants().await;
}
