//! Workers whose clocks are wrong. Only the database's counts.

use std::{path::Path, time::Duration};

use darkroom_dev::testing::stack::Setup;
use tokio::time::sleep;

use crate::trial::{SMALL, Trial, small};

/// Where packages put the library that lies about the time (libfaketime).
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Variables that move a process's clock by so much, such as `+1h`.
fn clock(offset: &str) -> Option<Vec<(&'static str, String)>> {
    let library = LIBRARIES.iter().find(|path| Path::new(path).exists());
    if library.is_none() {
        eprintln!("SKIPPED: libfaketime is not installed");
    }
    Some(vec![
        ("LD_PRELOAD", (*library?).to_owned()),
        ("FAKETIME", offset.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

/// A picture whose header is good and whose body is missing: it is accepted, and then fails. No bucket is needed for
/// that, and a bucket refuses whoever signs with a wrong clock.
fn broken(seed: usize) -> Vec<u8> {
    let mut picture = small(seed);
    picture.truncate(picture.len() - 24);
    picture
}

#[tokio::test]
async fn workers_an_hour_ahead_and_behind_keep_their_leases() {
    let (Some(ahead), Some(behind)) = (clock("+1h"), clock("-1h")) else { return };
    let mut trial = Trial::start(Setup::default()).await;
    trial.stack.workers = vec![trial.stack.new_worker(&ahead), trial.stack.new_worker(&behind)];
    // For longer than a lease.
    for seed in 0..40 {
        let image = trial.offer(broken(seed), SMALL).await.unwrap();
        trial.expect(&image, Some("broken_image"));
        sleep(Duration::from_millis(150)).await;
    }
    trial.settle().await;
    let (names, repeated): (i64, i64) = (
        trial.value("count(DISTINCT lock_by) FROM apalis.jobs WHERE job_type = 'process-image'").await,
        trial.value("count(*) FROM apalis.jobs WHERE fence > 1").await,
    );
    assert_eq!((names, repeated), (2, 0), "both worked, and neither was taken for dead");
    trial.verdict().await;
}

#[tokio::test]
async fn a_sweep_with_a_wrong_clock_takes_no_fresh_file_for_an_orphan() {
    let Some(ahead) = clock("+2d") else { return };
    let trial = Trial::start(Setup::default()).await;
    // As an api leaves it between staging and commit.
    let fresh = trial.stack.staging.join("01999999-9999-7999-8999-999999999999");
    std::fs::write(&fresh, "an upload").unwrap();
    // The bucket refuses its clock, after staging has been swept.
    let told = trial.stack.failing_worker_command(&["sweep"], &ahead).await;
    assert!(told.contains("RequestTimeTooSkewed"), "{told}");
    assert!(fresh.exists(), "it was removed within a second of being written");
}
