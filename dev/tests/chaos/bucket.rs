//! Faults of the S3 server: unreachable, slow, wrong answers.

use std::time::Duration;

use darkroom_dev::{bucket::Fault, testing::stack::Setup};
use reqwest::StatusCode;
use tokio::time::sleep;

use crate::harness::ChaosTest;

const FAULTS: [Fault; 5] = [
    Fault::Down,
    Fault::Answer(StatusCode::INTERNAL_SERVER_ERROR),
    Fault::Answer(StatusCode::SERVICE_UNAVAILABLE),
    Fault::CutShort,
    Fault::Slow(Duration::from_secs(2)),
];

#[tokio::test]
async fn images_become_ready_after_every_fault_of_the_bucket() {
    let mut test = ChaosTest::start(Setup { workers: 2, ..Setup::default() }).await;
    for fault in FAULTS {
        let errors = test.db.errors().await;
        test.stack.bucket.server.inject(fault);
        test.upload_many(6).await;
        match fault {
            Fault::Slow(_) => {}
            _ => test.db.wait_for_more_errors_than(errors).await,
        }
        test.stack.bucket.server.inject(None);
        test.upload_many(2).await;
    }
    test.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn images_become_ready_after_every_fault_of_a_bucket_that_is_also_staging() {
    let mut test = ChaosTest::start(Setup { workers: 2, staging_in_bucket: true, ..Setup::default() }).await;
    for fault in FAULTS {
        let inject = async {
            sleep(Duration::from_millis(200)).await;
            test.stack.bucket.server.inject(fault);
            sleep(Duration::from_secs(2)).await;
            test.stack.bucket.server.inject(None);
        };
        tokio::join!(inject, test.upload_many(20));
    }
    test.assert_invariants().await;
}
