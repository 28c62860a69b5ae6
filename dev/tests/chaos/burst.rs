//! Ten thousand jobs at once.

use std::time::Duration;

use darkroom_dev::testing::stack::Setup;
use darkroom_shared::{
    image::ImageId,
    jobs::{ProcessImage, process_image_options},
    queue::{Enqueue, enqueue_all},
};
use rand::RngExt as _;
use tokio::time::sleep;

use crate::trial::{SMALL, Trial, dice, small};

const BURST: i64 = 10_000;

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn ten_thousand_jobs_at_once_are_done_once_each_and_delay_nobody_else() {
    let mut dice = dice();
    let mut trial = Trial::start(Setup::default()).await;
    trial.stack.queue_command(&["pause", "process-image"]).await;
    // Of images that are gone: their jobs find nothing to do, so that the queue is what is busy.
    let jobs: Vec<(ProcessImage, Enqueue)> = (0..BURST)
        .map(|_| {
            let image = ImageId::now();
            (ProcessImage { image }, process_image_options(image, Some("bulk".to_owned())))
        })
        .collect();
    let mut tx = trial.pool.begin().await.unwrap();
    for thousand in jobs.chunks(1000) {
        enqueue_all(&mut tx, thousand.iter().map(|(job, options)| (job, options))).await.unwrap();
    }
    tx.commit().await.unwrap();
    let single = trial.offer(small(1), &[SMALL, &[("lane", "single")]].concat()).await.unwrap();
    for _ in 0..4 {
        trial.stack.start_worker();
    }
    trial.stack.queue_command(&["resume", "process-image"]).await;

    // Now and then a worker dies and another comes.
    for _ in 0..3 {
        sleep(Duration::from_millis(dice.random_range(100..1000))).await;
        let mut victim = trial.stack.workers.remove(dice.random_range(0..4));
        victim.process.kill().await.unwrap();
        trial.stack.start_worker();
    }
    trial.settle().await;
    assert_eq!(trial.value::<i64>("count(*) FROM witness WHERE lane = 'bulk'").await, BURST);
    let rank = "count(*) FROM witness WHERE what = 'job' AND n < (SELECT n FROM witness WHERE lane = 'single')";
    let before: i64 = trial.value(rank).await;
    assert!(before < BURST / 2, "{single} waited behind {before} jobs of another lane");
    trial.verdict().await;
}
