//! Workers that receive SIGTERM while they work.

use darkroom_dev::testing::stack::Setup;
use rustix::process::Signal;

use crate::harness::{ChaosTest, LARGE, large};

#[tokio::test]
async fn two_workers_that_drain_at_once_use_up_no_attempt() {
    // Running jobs are handed back at once.
    let no_grace_period = vec![("DRAIN_SECONDS", "0".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 2, settings: no_grace_period, ..Setup::default() }).await;
    for seed in 0..4 {
        test.upload_once(large(seed), LARGE).await.unwrap();
    }
    test.upload_many(40).await;
    test.db.wait_for_running_jobs(2).await;
    for worker in &test.stack.workers {
        worker.signal(Signal::TERM);
    }
    for mut worker in std::mem::take(&mut test.stack.workers) {
        let code = worker.process.wait().await.unwrap().code();
        assert!(matches!(code, Some(0 | 3)), "drained or handed back: {code:?}");
    }
    assert_eq!(test.db.running_jobs().await, 0);
    assert_eq!(test.db.registered_workers().await, 0, "both have deregistered");

    test.stack.start_worker();
    test.db.wait_until_settled().await;
    assert_eq!(test.db.jobs_with_failed_attempts().await, 0, "handing a job back costs no attempt");
    test.assert_invariants().await;
}
