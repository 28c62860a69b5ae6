//! Replicas that are told to stop while they work.

use darkroom_dev::testing::stack::Setup;
use rustix::process::Signal;

use crate::trial::{LARGE, Trial, large};

#[tokio::test]
async fn two_replicas_that_drain_at_once_lose_no_attempt() {
    // What runs is handed back in the middle.
    let hasty = vec![("DRAIN_SECONDS", "0".to_owned())];
    let mut trial = Trial::start(Setup { workers: 2, settings: hasty, ..Setup::default() }).await;
    for seed in 0..4 {
        trial.offer(large(seed), LARGE).await.unwrap();
    }
    trial.upload_many(40).await;
    trial.until("(SELECT count(*) >= 2 FROM apalis.jobs WHERE status = 'Running')").await;
    for worker in &trial.stack.workers {
        worker.signal(Signal::TERM);
    }
    for mut worker in std::mem::take(&mut trial.stack.workers) {
        let code = worker.process.wait().await.unwrap().code();
        assert!(matches!(code, Some(0 | 3)), "drained whole, or handed back: {code:?}");
    }
    assert_eq!(trial.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Running'").await, 0);
    assert_eq!(trial.value::<i64>("count(*) FROM apalis.workers").await, 0, "both have signed off");

    trial.stack.start_worker();
    trial.settle().await;
    let counted: i64 = trial.value("count(*) FROM apalis.jobs WHERE attempts > 1 OR crashes > 0").await;
    assert_eq!(counted, 0, "a hand-back is no attempt");
    trial.verdict().await;
}
