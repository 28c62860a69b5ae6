//! Large pictures that have to wait for memory.

use std::{collections::BTreeSet, fs, time::Duration};

use darkroom_dev::testing::stack::{Setup, eventually};
use darkroom_test_pictures::Jpeg;
use futures::{StreamExt as _, stream};

use crate::harness::{ChaosTest, LARGE, SMALL, byte, small};

/// Memory of the worker for pictures, in bytes.
const BUDGET: u64 = 512 << 20;

/// Uploads large pictures, then small ones, and lets one worker render them all.
async fn large_pictures_before_small_ones(
    pictures: (usize, usize),
    size: (u16, u16),
    recipe: &[(&'static str, &str)],
) -> (ChaosTest, u64) {
    let (large, small_ones) = pictures;
    let settings = vec![("RENDER_MEMORY_BYTES", BUDGET.to_string())];
    let mut test = ChaosTest::start(Setup { settings, ..Setup::default() }).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    #[expect(clippy::cast_possible_truncation, reason = "any pattern of pixels will do")]
    let picture = Jpeg::new(size.0, size.1).encode_rgb(|x, y| [x as u8, y as u8, (x / 16 + y / 16) as u8]);
    for _ in 0..large {
        test.upload_once(picture.clone(), &[recipe, &[("lane", "large")]].concat()).await.unwrap();
    }
    let uploads = stream::iter(0..small_ones).for_each_concurrent(8, async |seed| {
        test.upload_once(small(seed), &[SMALL, &[("lane", "large")]].concat()).await.unwrap();
    });
    uploads.await;
    test.stack.start_worker();
    test.stack.queue_command(&["resume", "process-image"]).await;

    let worker = test.stack.workers[0].process.id().unwrap();
    let mut peak = 0;
    let watch = async {
        loop {
            peak = peak.max(resident_bytes(worker));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = test.db.wait_until_settled() => {}
        () = watch => {}
    }
    (test, peak)
}

async fn assert_admitted_in_order(test: &mut ChaosTest, pictures: (usize, usize)) {
    let (large, small_ones) = pictures;
    let claims = test.db.claims().await;
    let images = i64::try_from(large + small_ones).unwrap();
    assert!(claims * 100 <= images * 105, "{claims} claims of {images} images");
    assert_eq!(test.db.jobs_with_failed_attempts().await, 0);
    assert_eq!(test.db.images_started_again().await, 0, "waiting counts no attempt");

    // By their starts: when one ends also depends on how long the bucket takes.
    let order = test.db.starts_of_large_images().await;
    assert_eq!(order.len(), large);
    // Ids sort by the time of upload.
    let uploaded: BTreeSet<&String> = order.iter().collect();
    let quarter = uploaded.len() / 4;
    let start_of = |id: &String| order.iter().position(|other| other == id).unwrap();
    let first = uploaded.iter().take(quarter).map(|id| start_of(id)).max().unwrap();
    let last = uploaded.iter().rev().take(quarter).map(|id| start_of(id)).min().unwrap();
    assert!(first < last, "large pictures are admitted in the order of their coming: {order:?}");
    let ends = test.db.ends_of_images().await;
    let last_small = ends.iter().rposition(|(_, is_large)| !is_large).unwrap();
    let large_after = ends[last_small..].iter().filter(|(_, is_large)| *is_large).count();
    assert!(large_after > 0, "small pictures that came last do not wait for all large ones");
    let passed_by = test.db.large_images_before_a_small_one().await;
    assert!(passed_by <= 2, "{passed_by} large pictures began after a small one and ended before it");
}

/// Resident memory of a process and its children, in bytes. Shared pages count for each.
fn resident_bytes(process: u32) -> u64 {
    let field = |pid: u32, name: &str| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let family = pids.filter(|pid| *pid == process || field(*pid, "PPid:") == Some(process.into()));
    family.filter_map(|pid| field(pid, "VmRSS:")).sum::<u64>() << 10
}

/// Uploads this number of pictures for a worker that has memory for one at a time, and waits until the others wait in it.
async fn one_renders_and_the_others_wait(pictures: i64) -> ChaosTest {
    let settings = vec![("RENDER_MEMORY_BYTES", (256_u64 << 20).to_string()), ("WORKER_CONCURRENCY", "1".to_owned())];
    let mut test = ChaosTest::start(Setup { settings, ..Setup::default() }).await;
    let picture = Jpeg::new(6000, 4000).encode_rgb(|x, y| [byte(x as usize), byte(y as usize), byte(x as usize / 16)]);
    for _ in 0..pictures {
        test.upload_once(picture.clone(), LARGE).await.unwrap();
    }
    test.stack.start_worker();
    eventually("one is rendered and the others wait", async || {
        let (begun, idle) = (test.db.begun_images().await, test.db.idle_jobs().await);
        (!begun.is_empty() && idle >= pictures - 2).then_some(())
    })
    .await;
    test
}

#[tokio::test]
async fn the_death_of_a_worker_is_no_crash_of_the_pictures_that_waited_in_it() {
    let mut test = one_renders_and_the_others_wait(12).await;
    let mut worker = test.stack.workers.remove(0);
    worker.process.kill().await.unwrap();
    let begun = test.db.begun_images().await;
    // One is rendered, and those before it may be committed.
    assert!(begun.len() <= 3, "{begun:?}");
    test.stack.start_worker();
    test.db.wait_until_settled().await;
    assert_eq!(test.db.crashed_images().await, begun);
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_worker_with_free_slots_renders_pictures_that_wait_in_another() {
    let mut test = one_renders_and_the_others_wait(12).await;
    test.stack.start_worker();
    test.db.wait_until_settled().await;
    assert_eq!(test.db.workers_of_images().await, 2);
    assert_eq!(test.db.jobs_with_failed_attempts().await, 0);
    assert_eq!(test.db.images_started_again().await, 0, "what was taken over had not begun");
    test.assert_invariants().await;
}

#[tokio::test]
async fn large_pictures_wait_in_order_and_are_claimed_once() {
    let pictures = (24, 60);
    // Each takes much longer than a statement, so that a slow one changes no order.
    let (mut test, _) = large_pictures_before_small_ones(pictures, (4000, 3000), LARGE).await;
    assert_admitted_in_order(&mut test, pictures).await;
    test.assert_invariants().await;
}

/// `LARGE_PICTURES` and `SMALL_PICTURES` run it with fewer.
#[tokio::test]
#[ignore = "takes minutes: make chaos"]
async fn two_hundred_large_and_two_thousand_small_pictures_stay_within_the_budget() {
    let number = |name, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let pictures = (number("LARGE_PICTURES", 200), number("SMALL_PICTURES", 2000));
    let (mut test, peak) = large_pictures_before_small_ones(pictures, (6000, 4000), LARGE).await;
    let (claims, (large, small)) = (test.db.claims().await, test.db.longest_seconds().await);
    eprintln!("{} MiB resident of {} MiB, {claims} claims", peak >> 20, BUDGET >> 20);
    eprintln!("from start to end: large pictures at most {large:.1} s, small ones {small:.1} s");
    assert!(peak <= BUDGET / 10 * 11, "{} MiB resident of {} MiB", peak >> 20, BUDGET >> 20);
    assert_admitted_in_order(&mut test, pictures).await;
    test.assert_invariants().await;
}
