//! Ten thousand jobs at once.

use std::time::Duration;

use darkroom_dev::testing::stack::Setup;
use darkroom_model::{ImageId, Owner};
use darkroom_queue::{Enqueue, enqueue_all};
use darkroom_shared::jobs::{ProcessImage, process_image_options};
use rand::RngExt as _;
use tokio::time::sleep;

use crate::harness::{ChaosTest, SMALL, seeded_rng, small};

const BURST: i64 = 10_000;

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn ten_thousand_jobs_at_once_are_done_once_each_and_delay_no_other_lane() {
    let mut rng = seeded_rng();
    let mut test = ChaosTest::start(Setup::default()).await;
    test.db.log_claims().await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    // Jobs of images that do not exist have nothing to do, so that only the queue is busy.
    let jobs: Vec<(ProcessImage, Enqueue)> = (0..BURST)
        .map(|_| {
            let (owner, image) = (Owner::DEFAULT, ImageId::now());
            (ProcessImage { owner, image }, process_image_options(owner, image, Some("bulk")))
        })
        .collect();
    let mut tx = test.db.pool.begin().await.unwrap();
    for thousand in jobs.chunks(1000) {
        enqueue_all(&mut tx, thousand.iter().map(|(job, options)| (job, options))).await.unwrap();
    }
    tx.commit().await.unwrap();
    let single = test.upload_once(small(1), &[SMALL, &[("lane", "single")]].concat()).await.unwrap();
    for _ in 0..4 {
        test.stack.start_worker();
    }
    test.stack.queue_command(&["resume", "process-image"]).await;

    // Workers are killed and replaced in the meantime.
    for _ in 0..3 {
        sleep(Duration::from_millis(rng.random_range(100..1000))).await;
        let mut victim = test.stack.workers.remove(rng.random_range(0..4));
        victim.process.kill().await.unwrap();
        test.stack.start_worker();
    }
    test.db.wait_until_settled().await;
    assert_eq!(test.db.ends_of_lane("1/bulk").await, BURST);
    let before = test.db.claims_before_lane("1/single").await;
    assert!(before < BURST / 10, "{single} waited behind {before} jobs of another lane");
    test.assert_invariants().await;
}
