//! Ten thousand jobs at once.

use std::time::Duration;

use darkroom_dev::testing::stack::Setup;
use darkroom_model::ImageId;
use darkroom_queue::{Enqueue, enqueue_all};
use darkroom_shared::jobs::{ProcessImage, process_image_options};
use rand::RngExt as _;
use tokio::time::sleep;

use crate::trial::{SMALL, Trial, dice, small};

const BURST: i64 = 10_000;

/// Writes down the order in which jobs are claimed: when they end also tells whose worker was killed.
const CLAIMS: &str = "
    CREATE TABLE claimed (n bigserial PRIMARY KEY, lane text);
    CREATE FUNCTION witness_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO claimed (lane) VALUES (NEW.lane); RETURN NULL;
    END $$;
    CREATE TRIGGER witness_claim AFTER UPDATE ON apalis.jobs FOR EACH ROW
        WHEN (OLD.status = 'Pending' AND NEW.status = 'Running') EXECUTE FUNCTION witness_claim()";

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn ten_thousand_jobs_at_once_are_done_once_each_and_delay_nobody_else() {
    let mut dice = dice();
    let mut trial = Trial::start(Setup::default()).await;
    sqlx::raw_sql(CLAIMS).execute(&trial.pool).await.unwrap();
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
    let rank = "count(*) FROM claimed WHERE n < (SELECT min(n) FROM claimed WHERE lane = 'single')";
    let before: i64 = trial.value(rank).await;
    assert!(before < BURST / 10, "{single} waited behind {before} jobs of another lane");
    trial.verdict().await;
}
