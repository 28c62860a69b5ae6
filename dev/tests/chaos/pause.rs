//! Workers that are frozen past their leases, and wake up as zombies.

use std::time::Duration;

use darkroom_dev::testing::stack::Setup;
use rand::RngExt as _;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::trial::{LARGE, SMALL, Trial, assert_alive, dice, large, small};

#[tokio::test]
async fn a_zombie_changes_nothing() {
    let one_at_a_time = vec![("WORKER_CONCURRENCY", "1".to_owned())];
    let mut trial = Trial::start(Setup { workers: 1, settings: one_at_a_time, ..Setup::default() }).await;
    let image = trial.offer(large(1), LARGE).await.unwrap();
    trial.until("(SELECT status = 'processing' FROM images)").await;
    trial.stack.workers[0].signal(Signal::STOP);
    let owner: String = trial.value("lock_by FROM apalis.jobs WHERE job_type = 'process-image'").await;

    // Another worker takes the job over, and the first wakes up while that one is at work.
    trial.stack.start_worker();
    trial.until("(SELECT status = 'Running' AND fence = 2 FROM apalis.jobs WHERE job_type = 'process-image')").await;
    trial.stack.workers[0].signal(Signal::CONT);
    trial.settle().await;
    let finisher: String = trial.value("lock_by FROM apalis.jobs WHERE job_type = 'process-image'").await;
    assert_ne!(finisher, owner, "the zombie has completed the job");

    // It renders one at a time: when it is done with the next image, it has tried everything with the first.
    let state = format!(
        "concat(
            (SELECT images::text FROM images WHERE id = '{image}'),
            (SELECT string_agg(renditions::text, '' ORDER BY name) FROM renditions WHERE image_id = '{image}'),
            (SELECT job::text FROM apalis.jobs AS job WHERE idempotency_key = '{image}'))"
    );
    let before: String = trial.value(&state).await;
    assert_alive(&mut trial.stack.workers);
    trial.stack.workers.remove(1).process.kill().await.unwrap();
    let next = trial.offer(small(2), SMALL).await.unwrap();
    trial.until(&format!("(SELECT status = 'ready' FROM images WHERE id = '{next}')")).await;
    assert_eq!(trial.value::<String>(&state).await, before);
    trial.verdict().await;
}

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn workers_frozen_at_random_lose_and_repeat_nothing() {
    let mut dice = dice();
    let mut trial = Trial::start(Setup { workers: 3, ..Setup::default() }).await;
    let freeze = async {
        for _ in 0..4 {
            sleep(Duration::from_millis(dice.random_range(0..800))).await;
            let worker = &trial.stack.workers[dice.random_range(0..3)];
            worker.signal(Signal::STOP);
            // Shorter and longer than a lease.
            sleep(Duration::from_millis(dice.random_range(500..6000))).await;
            worker.signal(Signal::CONT);
        }
    };
    let upload = async {
        for seed in 0..120 {
            trial.upload_small(seed).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(freeze, upload);
    trial.verdict().await;
}
