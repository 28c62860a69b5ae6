//! Workers with different amounts of memory.

use darkroom_dev::testing::stack::Setup;
use darkroom_test_pictures as pictures;

use crate::harness::{ChaosTest, SMALL};

/// A picture for which a worker with the least memory has no room.
fn wide() -> Vec<u8> {
    const WIDTH: u32 = 6000;
    const HEIGHT: u32 = 4000;
    let samples = vec![128; (WIDTH * HEIGHT * 3) as usize];
    pictures::png(WIDTH, HEIGHT, png::ColorType::Rgb, png::BitDepth::Eight, &samples)
}

fn memory(bytes: u64) -> (&'static str, String) {
    ("RENDER_MEMORY_BYTES", bytes.to_string())
}

#[tokio::test]
async fn a_picture_that_is_too_large_for_one_worker_is_left_to_a_larger_one() {
    let settings = vec![memory(256 << 20)];
    let mut test = ChaosTest::start(Setup { workers: 1, settings, ..Setup::default() }).await;
    let image = test.upload_once(wide(), SMALL).await.unwrap();
    test.db.wait_for_image_start(&image).await;
    let larger = test.stack.new_worker(&[memory(4 << 30)]);
    test.stack.workers.push(larger);
    test.stack.wait_for_status(&image, "ready").await;
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_picture_that_is_too_large_for_every_worker_fails_after_the_time_for_it() {
    let settings = vec![memory(256 << 20), ("TOO_LARGE_SECONDS", "1".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 2, settings, ..Setup::default() }).await;
    let image = test.upload_once(wide(), SMALL).await.unwrap();
    test.expect(&image, Some("too_large"));
    test.stack.wait_for_status(&image, "failed").await;
    test.assert_invariants().await;
}
