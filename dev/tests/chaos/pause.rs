//! Workers that are frozen until their leases expire, and then continue as zombies.

use std::time::Duration;

use darkroom_dev::testing::stack::Setup;
use rand::RngExt as _;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::harness::{ChaosTest, LARGE, SMALL, assert_alive, large, seeded_rng, small};

#[tokio::test]
async fn a_zombie_changes_nothing() {
    let one_at_a_time = vec![("WORKER_CONCURRENCY", "1".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 1, settings: one_at_a_time, ..Setup::default() }).await;
    let image = test.upload_once(large(1), LARGE).await.unwrap();
    test.db.wait_for_image_status(&image, "processing").await;
    test.stack.workers[0].signal(Signal::STOP);
    let frozen = test.db.job(&image).await.worker;

    // Another worker claims the job, and the first continues while the other renders.
    test.stack.start_worker();
    test.db.wait_for_claim(&image, 2).await;
    test.stack.workers[0].signal(Signal::CONT);
    test.db.wait_until_settled().await;
    assert_ne!(test.db.job(&image).await.worker, frozen, "the zombie has completed the job");

    // The zombie renders one image at a time: when it has rendered the next one, it has ended its attempt at the first.
    let before = test.db.rows_of(&image).await;
    assert_alive(&mut test.stack.workers);
    test.stack.workers.remove(1).process.kill().await.unwrap();
    let next = test.upload_once(small(2), SMALL).await.unwrap();
    test.db.wait_for_image_status(&next, "ready").await;
    assert_eq!(test.db.rows_of(&image).await, before);
    test.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn workers_frozen_at_random_lose_and_repeat_no_job() {
    let mut rng = seeded_rng();
    let mut test = ChaosTest::start(Setup { workers: 3, ..Setup::default() }).await;
    let freeze = async {
        for _ in 0..4 {
            sleep(Duration::from_millis(rng.random_range(0..800))).await;
            let worker = &test.stack.workers[rng.random_range(0..3)];
            worker.signal(Signal::STOP);
            // Shorter and longer than a lease.
            sleep(Duration::from_millis(rng.random_range(500..6000))).await;
            worker.signal(Signal::CONT);
        }
    };
    let upload = async {
        for seed in 0..120 {
            test.upload_small(seed).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(freeze, upload);
    test.assert_invariants().await;
}
