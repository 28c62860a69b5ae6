//! A job that crashes every worker that runs it.

use darkroom_dev::testing::stack::Setup;

use crate::harness::{ChaosTest, LARGE, SMALL, large, small};

#[tokio::test]
async fn a_job_that_crashes_its_workers_is_quarantined_and_jobs_beside_it_are_not() {
    let mut test = ChaosTest::start(Setup::default()).await;
    let poison = test.upload_once(large(1), LARGE).await.unwrap();
    test.expect(&poison, Some("crashed"));
    for seed in 0..20 {
        test.upload_once(small(seed), SMALL).await.unwrap();
    }
    // The worker that runs it is killed; the others live.
    for _ in 0..2 {
        test.stack.start_worker();
    }
    for crash in 1..=3 {
        // While it renders.
        test.db.wait_for_image_attempts(&poison, crash).await;
        let runner = test.db.job(&poison).await.worker;
        let runs_it = |pid: Option<u32>| pid.is_some_and(|pid| runner.contains(&format!("-{pid}-")));
        let position = test.stack.workers.iter().position(|worker| runs_it(worker.process.id()));
        let mut victim = test.stack.workers.remove(position.expect(&runner));
        victim.process.kill().await.unwrap();
        test.stack.start_worker();
    }
    test.db.wait_until_settled().await;
    let job = test.db.job(&poison).await;
    assert_eq!(job.reason.as_deref(), Some("quarantined"));
    assert_eq!(test.db.killed_jobs().await, 1);
    assert_eq!(job.crashes, 3);
    test.assert_invariants().await;
}
