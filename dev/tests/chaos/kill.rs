//! Workers die at random, again and again.

use std::time::Duration;

use darkroom_dev::{guard::Guarded, testing::stack::Setup};
use rand::{RngExt as _, rngs::StdRng};
use tokio::{sync::oneshot, time::timeout};

use crate::trial::{Trial, dice};

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
    let mut dice = dice();
    // They are innocent of these deaths, and none is to be suspected.
    let settings = vec![("MAX_CRASHES", "20".to_owned())];
    let mut trial = Trial::start(Setup { settings, ..Setup::default() }).await;
    let mut workers: Vec<Guarded> = (0..WORKERS).map(|_| trial.stack.new_worker(&[])).collect();
    let (finished, until) = oneshot::channel();
    tokio::join!(kill(&trial, &mut workers, &mut dice, until), async {
        trial.upload_many(images).await;
        trial.finished(images).await;
        finished.send(()).unwrap();
    });
    trial.stack.workers = workers;
    trial.verdict().await;
}

/// Kills one worker after another, each at a random moment, and starts another in its place.
async fn kill(trial: &Trial, workers: &mut [Guarded], dice: &mut StdRng, mut until: oneshot::Receiver<()>) {
    while timeout(Duration::from_millis(dice.random_range(200..1500)), &mut until).await.is_err() {
        let victim = &mut workers[dice.random_range(0..WORKERS)];
        victim.process.kill().await.unwrap();
        *victim = trial.stack.new_worker(&[]);
    }
}
