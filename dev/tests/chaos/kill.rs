//! Workers that are killed at random.

use std::time::Duration;

use darkroom_dev::{bound_child::BoundChild, testing::stack::Setup};
use rand::{RngExt as _, rngs::StdRng};
use tokio::{sync::oneshot, time::timeout};

use crate::harness::{ChaosTest, seeded_rng};

const WORKERS: usize = 3;

#[tokio::test]
async fn a_hundred_images_survive_workers_killed_at_random() {
    survives_kills(100).await;
}

#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn two_thousand_images_survive_workers_killed_at_random() {
    survives_kills(2000).await;
}

async fn survives_kills(images: usize) {
    let mut rng = seeded_rng();
    // The jobs do not cause these crashes and must not be quarantined for them.
    let settings = vec![("MAX_CRASHES", "20".to_owned())];
    let mut test = ChaosTest::start(Setup { settings, ..Setup::default() }).await;
    let mut workers: Vec<BoundChild> = (0..WORKERS).map(|_| test.stack.new_worker(&[])).collect();
    let (finished, until) = oneshot::channel();
    tokio::join!(kill(&test, &mut workers, &mut rng, until), async {
        test.upload_many(images).await;
        test.db.wait_for_finished(images).await;
        finished.send(()).unwrap();
    });
    test.stack.workers = workers;
    test.assert_invariants().await;
}

/// Kills workers at random moments, and starts a new one in place of each.
async fn kill(test: &ChaosTest, workers: &mut [BoundChild], rng: &mut StdRng, mut until: oneshot::Receiver<()>) {
    while timeout(Duration::from_millis(rng.random_range(200..1500)), &mut until).await.is_err() {
        let victim = &mut workers[rng.random_range(0..WORKERS)];
        victim.process.kill().await.unwrap();
        *victim = test.stack.new_worker(&[]);
    }
}
