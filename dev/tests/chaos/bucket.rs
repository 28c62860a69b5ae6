//! An S3 server that is away, slow, or answers nonsense.

use std::time::Duration;

use darkroom_dev::{bucket::Fault, testing::stack::Setup};
use reqwest::StatusCode;
use tokio::time::sleep;

use crate::trial::Trial;

const FAULTS: [Fault; 5] = [
    Fault::Down,
    Fault::Answer(StatusCode::INTERNAL_SERVER_ERROR),
    Fault::Answer(StatusCode::SERVICE_UNAVAILABLE),
    Fault::CutShort,
    Fault::Slow(Duration::from_secs(2)),
];

#[tokio::test]
async fn every_fault_of_the_bucket_is_outlasted() {
    let mut trial = Trial::start(Setup { workers: 2, ..Setup::default() }).await;
    for fault in FAULTS {
        let failures = "(SELECT coalesce(sum(jsonb_array_length(errors)), 0) FROM apalis.jobs)";
        let before: i64 = trial.value(failures).await;
        trial.stack.bucket.server.fail(fault);
        trial.upload_many(6).await;
        match fault {
            Fault::Slow(_) => {}
            _ => trial.until(&format!("{failures} > {before}")).await,
        }
        trial.stack.bucket.server.fail(None);
        trial.upload_many(2).await;
    }
    trial.verdict().await;
}

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn every_fault_of_a_bucket_that_is_staging_too_is_outlasted() {
    let mut trial = Trial::start(Setup { workers: 2, staging_in_bucket: true, ..Setup::default() }).await;
    for fault in FAULTS {
        let mend = async {
            sleep(Duration::from_millis(200)).await;
            trial.stack.bucket.server.fail(fault);
            sleep(Duration::from_secs(2)).await;
            trial.stack.bucket.server.fail(None);
        };
        tokio::join!(mend, trial.upload_many(20));
    }
    trial.verdict().await;
}
