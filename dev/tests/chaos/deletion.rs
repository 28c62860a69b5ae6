//! Deletions and revivals beside faults: a deletion that was answered leaves no picture public, and an outage loses no
//! image.

use std::time::Duration;

use darkroom_dev::{
    bucket::Fault,
    testing::stack::{Setup, eventually},
};
use darkroom_queue::{Enqueue, Job, enqueue};
use darkroom_shared::jobs::{ResumeDeletions, RetryImages};
use reqwest::StatusCode;

use crate::{
    harness::{ChaosTest, LARGE, SMALL, large, small},
    identity::make_everything_old,
};

/// Deletes an image by the api.
async fn delete(test: &ChaosTest, image: &str) {
    let answer = test.stack.http.delete(format!("{}/v1/images/{image}", test.stack.url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
}

/// Waits until the rows of all deleted images are gone.
async fn wait_for_deletions(test: &ChaosTest) {
    eventually("the deletions are done", async || (test.db.deleting_images().await == 0).then_some(())).await;
}

/// Adds a job.
async fn add<J: Job>(test: &ChaosTest, job: &J) {
    let mut db = test.db.pool.acquire().await.unwrap();
    enqueue(&mut db, job, &Enqueue::new()).await.unwrap();
}

#[tokio::test]
async fn images_deleted_while_they_are_rendered_leave_no_object() {
    let test = ChaosTest::start(Setup { workers: 2, ..Setup::default() }).await;
    // Objects are under way to the bucket while the deletions run.
    test.stack.bucket.server.inject(Fault::Slow(Duration::from_millis(300)));
    let mut images = Vec::new();
    for seed in 0..8 {
        let (picture, recipe) = if seed % 2 == 0 { (large(seed), LARGE) } else { (small(seed), SMALL) };
        let image = test.upload_once(picture, recipe).await.unwrap();
        test.db.wait_for_image_start(&image).await;
        delete(&test, &image).await;
        images.push(image);
    }
    wait_for_deletions(&test).await;
    eventually("no object is left", async || test.stack.objects().is_empty().then_some(())).await;
    assert!(test.stack.staged().is_empty());
    for image in &images {
        assert!(test.stack.image(image).await.is_none());
    }
    test.stack.bucket.server.inject(None);

    // A request of an attempt that was cut off, which the bucket carries out after the deletion.
    let folder = test
        .stack
        .bucket
        .dir
        .path()
        .join(&test.stack.bucket.name)
        .join("images")
        .join(&images[0][34..])
        .join("1")
        .join(&images[0]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("w800-0011223344556677.webp"), "late").unwrap();
    test.db.make_delayed_jobs_due().await;
    test.db.wait_until_settled().await;
    assert!(test.stack.objects().is_empty(), "the deletion looks again after a minute");
}

#[tokio::test]
async fn a_deletion_outlasts_any_outage_of_the_bucket() {
    let test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    let image = test.upload_once(small(1), SMALL).await.unwrap();
    let ready = test.stack.wait_for_status(&image, "ready").await;
    let url = ready["renditions"][0]["url"].as_str().unwrap();
    assert_eq!(test.stack.http.get(url).send().await.unwrap().status(), StatusCode::OK);

    test.stack.bucket.server.inject(Fault::Answer(StatusCode::FORBIDDEN));
    let errors = test.db.errors().await;
    delete(&test, &image).await;
    test.db.wait_for_more_errors_than(errors).await;
    // As if it had failed for days.
    test.db.pretend_failed_deletions(5000).await;
    test.db.wait_for_more_errors_than(errors + 1).await;
    test.db.wait_for_no_running_jobs().await;
    assert_eq!(test.db.killed_jobs().await, 0, "a deletion has no last attempt");

    test.stack.bucket.server.inject(None);
    test.db.make_delayed_jobs_due().await;
    wait_for_deletions(&test).await;
    assert!(test.stack.objects().is_empty());
    assert_eq!(test.stack.http.get(url).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let name = ready["renditions"][0]["name"].as_str().unwrap();
    let redirect = format!("{}/v1/images/{image}/renditions/{name}", test.stack.url);
    assert_eq!(test.stack.http.get(redirect).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_deletion_whose_job_is_gone_is_enqueued_again() {
    let test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    let image = test.upload_once(small(1), SMALL).await.unwrap();
    test.stack.wait_for_status(&image, "ready").await;
    test.stack.queue_command(&["pause", "delete-image"]).await;
    delete(&test, &image).await;
    test.db.remove_deletions().await;
    test.stack.queue_command(&["resume", "delete-image"]).await;
    // The sweep leaves what a row names, also of a deletion: a mass deletion must not look like a wrong database to it.
    make_everything_old(&test);
    assert!(test.stack.worker_command(&["sweep"]).await.success());
    assert_eq!(test.stack.objects().len(), 1);
    add(&test, &ResumeDeletions {}).await;
    wait_for_deletions(&test).await;
    assert!(test.stack.objects().is_empty());
}

#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn all_images_are_revived_after_an_outage_that_failed_a_hundred_thousand() {
    const IMAGES: i64 = 100_000;
    let test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    // They have no staged files, so none may be rendered here.
    test.stack.queue_command(&["pause", "process-image"]).await;
    test.db.add_unavailable_images(IMAGES).await;

    test.stack.bucket.server.inject(Fault::Answer(StatusCode::FORBIDDEN));
    add(&test, &RetryImages {}).await;
    test.db.wait_until_queue_settled("retry-images").await;
    assert_eq!(test.db.queued_images().await, 0, "none is revived while the bucket is away");

    test.stack.bucket.server.inject(None);
    add(&test, &RetryImages {}).await;
    test.db.wait_until_queue_settled("retry-images").await;
    assert_eq!(test.db.queued_images().await, IMAGES);
    assert_eq!(test.db.pending_image_jobs().await, IMAGES, "a job each, also where the old one was pruned");
    assert_eq!(test.db.images_without_one_job().await.len(), 0);
}
