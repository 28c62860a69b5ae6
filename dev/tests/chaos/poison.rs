//! A job that takes its worker with it.

use darkroom_dev::testing::stack::Setup;

use crate::trial::{LARGE, SMALL, Trial, large, small};

#[tokio::test]
async fn a_job_whose_workers_die_is_quarantined_and_those_beside_it_are_not() {
    let mut trial = Trial::start(Setup::default()).await;
    let poison = trial.offer(large(1), LARGE).await.unwrap();
    trial.expect(&poison, Some("crashed"));
    for seed in 0..20 {
        trial.offer(small(seed), SMALL).await.unwrap();
    }
    // Whichever worker runs it dies of it; the others live.
    for _ in 0..2 {
        trial.stack.start_worker();
    }
    let job = format!("FROM apalis.jobs WHERE idempotency_key = '{poison}'");
    for death in 1..=3 {
        // In the middle of its work.
        trial.until(&format!("(SELECT attempts = {death} FROM images WHERE id = '{poison}')")).await;
        let runner: String = trial.value(&format!("lock_by {job}")).await;
        let of_it = |pid: Option<u32>| pid.is_some_and(|pid| runner.contains(&format!("-{pid}-")));
        let position = trial.stack.workers.iter().position(|worker| of_it(worker.process.id()));
        let mut victim = trial.stack.workers.remove(position.expect(&runner));
        victim.process.kill().await.unwrap();
        trial.stack.start_worker();
    }
    trial.settle().await;
    assert_eq!(trial.value::<String>(&format!("reason {job}")).await, "quarantined");
    assert_eq!(trial.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Killed'").await, 1);
    assert_eq!(trial.value::<i32>(&format!("crashes {job}")).await, 3);
    trial.verdict().await;
}
