//! Connections to Postgres on which nothing passes any more, and servers that no longer accept writes.

use std::time::Duration;

use darkroom_dev::{
    postgres::Cluster,
    testing::{self, stack::Setup, stack::eventually, wire::Wire},
};
use reqwest::StatusCode;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    database::LOCK_PENDING_JOBS,
    harness::{ChaosTest, LARGE, SMALL, large, small},
};

/// A stack whose processes reach Postgres over a wire.
async fn start_over_wire(workers: usize) -> (ChaosTest, Wire) {
    let url = testing::database().await;
    let wire = Wire::to(&url).await;
    let database = Some(wire.url(&url));
    let mut test = ChaosTest::start(Setup { workers, database, ..Setup::default() }).await;
    // The test itself looks at the database directly.
    test.db = crate::database::Database::reopen(&url).await;
    (test, wire)
}

#[tokio::test]
async fn the_api_recovers_when_its_connections_go_silent_in_a_statement() {
    let (mut test, wire) = start_over_wire(0).await;
    test.upload_many(4).await;
    // Lists wait for the lock, so that the wire goes silent while statements run.
    let mut lock = test.db.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE images IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let lists: Vec<_> =
        (0..10).map(|_| tokio::spawn(test.stack.http.get(format!("{}/v1/images", test.stack.url)).send())).collect();
    eventually("the lists are in a statement", async || (test.db.waiting_for_locks().await > 4).then_some(())).await;
    wire.silence();
    lock.rollback().await.unwrap();
    let mut unavailable = 0;
    for list in lists {
        // A request that had no connection yet gets a new one and is served.
        match list.await.unwrap().unwrap().status() {
            StatusCode::SERVICE_UNAVAILABLE => unavailable += 1,
            status => assert_eq!(status, StatusCode::OK),
        }
    }
    assert!(unavailable > 4, "{unavailable} requests were in a statement");
    let status = test.stack.http.get(format!("{}/v1/images", test.stack.url)).send().await.unwrap().status();
    assert_eq!(status, StatusCode::OK, "the first request after the failed ones is served");
    test.stack.start_worker();
    test.upload_many(4).await;
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_worker_recovers_when_its_connections_go_silent() {
    let (mut test, wire) = start_over_wire(1).await;
    for seed in 0..4 {
        test.upload_once(large(seed), LARGE).await.unwrap();
    }
    test.db.wait_for_running_jobs(1).await;
    wire.silence();
    test.upload_many(4).await;
    test.assert_invariants().await;
}

#[tokio::test]
async fn the_job_of_a_dead_host_with_an_open_transaction_is_run_by_another_worker() {
    let mut test = ChaosTest::start(Setup { workers: 0, ..Setup::default() }).await;
    let image = test.upload_once(small(1), SMALL).await.unwrap();
    // The row lock of a session that says nothing more, with the limits of the processes' own sessions.
    let mut dead = test.db.pool.begin().await.unwrap();
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '10s'").execute(&mut *dead).await.unwrap();
    sqlx::query(LOCK_PENDING_JOBS).fetch_all(&mut *dead).await.unwrap();
    test.stack.start_worker();
    test.db.wait_for_image_status(&image, "ready").await;
    drop(dead);
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_server_that_is_read_only_after_a_failover_is_left_and_used_again() {
    let cluster = Cluster::throwaway().await.unwrap();
    let database = Some(cluster.create_database("chaos").await.unwrap());
    let mut test = ChaosTest::start(Setup { workers: 2, database, ..Setup::default() }).await;
    test.upload_many(8).await;
    test.db.set_read_only(true).await;
    let ready = format!("{}/readyz", test.stack.url);
    eventually("the api is not ready", async || {
        let status = test.stack.http.get(&ready).send().await.unwrap().status();
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    // A refusal must be a 503, which the harness asserts.
    for seed in 0..4 {
        assert_eq!(test.upload_once(small(seed), SMALL).await, None);
    }
    test.db.set_read_only(false).await;
    test.upload_many(8).await;
    test.assert_invariants().await;
}

#[tokio::test]
async fn after_sigterm_the_api_is_not_ready_but_accepts_uploads_until_its_drain_delay_is_over() {
    let settings = vec![("DRAIN_DELAY_SECONDS", "300".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 1, settings, ..Setup::default() }).await;
    test.stack.api.signal(Signal::TERM);
    let ready = format!("{}/readyz", test.stack.url);
    eventually("the api is not ready", async || {
        let status = test.stack.http.get(&ready).send().await.unwrap().status();
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    test.upload_many(4).await;
    sleep(Duration::from_millis(10)).await;
    test.assert_invariants().await;
}
