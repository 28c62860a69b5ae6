//! Workers with wrong clocks. Only the database's clock counts.

use std::{path::Path, time::Duration};

use darkroom_dev::testing::stack::Setup;
use tokio::time::sleep;

use crate::harness::{ChaosTest, SMALL, small};

/// Where distributions install libfaketime.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Environment variables that shift the clock of a process by this offset, such as `+1h`.
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

/// A picture with a valid header and a truncated body, which is accepted and then fails. It needs no request to the
/// bucket, which would refuse signatures by a wrong clock.
fn broken(seed: usize) -> Vec<u8> {
    let mut picture = small(seed);
    picture.truncate(picture.len() - 24);
    picture
}

#[tokio::test]
async fn workers_an_hour_ahead_and_behind_keep_their_leases() {
    let (Some(ahead), Some(behind)) = (clock("+1h"), clock("-1h")) else { return };
    let mut test = ChaosTest::start(Setup::default()).await;
    test.stack.workers = vec![test.stack.new_worker(&ahead), test.stack.new_worker(&behind)];
    // This takes longer than a lease.
    for seed in 0..40 {
        let image = test.upload_once(broken(seed), SMALL).await.unwrap();
        test.expect(&image, Some("broken_image"));
        sleep(Duration::from_millis(150)).await;
    }
    test.db.wait_until_settled().await;
    let (workers, repeated) = (test.db.workers_of_images().await, test.db.jobs_claimed_again().await);
    assert_eq!((workers, repeated), (2, 0), "both worked, and neither lost a lease");
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_sweep_with_a_wrong_clock_removes_no_fresh_file() {
    let Some(ahead) = clock("+2d") else { return };
    let test = ChaosTest::start(Setup::default()).await;
    // As an api writes it between staging and commit.
    let fresh = test.stack.staging.join("1-01999999-9999-7999-8999-999999999999");
    std::fs::write(&fresh, "an upload").unwrap();
    // Staging is swept first; then the bucket refuses the clock.
    let stderr = test.stack.failing_worker_command(&["sweep"], &ahead).await;
    assert!(stderr.contains("RequestTimeTooSkewed"), "{stderr}");
    assert!(fresh.exists(), "it was removed within a second of being written");
}
