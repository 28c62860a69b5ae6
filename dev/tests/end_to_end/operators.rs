//! `darkroom-worker queue …` and its effects on images.

use crate::{
    pictures,
    stack::{Stack, eventually},
};

#[tokio::test]
async fn a_job_is_paused_cancelled_and_retried() {
    let stack = Stack::start(1).await;
    stack.queue_command(&["pause", "process-image"]).await;
    let image = stack.upload(pictures::jpeg(&pictures::photo(300, 200, 1)), &[]).await;
    let waiting = stack.queue_command(&["list", "--queue", "process-image", "--status", "pending"]).await;
    let job = waiting[0]["id"].as_str().unwrap();
    assert_eq!(stack.queue_command(&["show", job]).await["payload"]["image"], image.as_str());

    stack.queue_command(&["cancel", job]).await;
    let failed = stack.wait_for_status(&image, "failed").await;
    assert_eq!((&failed["error"]["code"], &failed["attempts"]), (&"cancelled".into(), &0.into()), "{failed}");
    assert_eq!(stack.queue_command(&["show", job]).await["reason"], "cancelled");

    stack.queue_command(&["retry", job]).await;
    assert_eq!(stack.image(&image).await.unwrap()["status"], "queued", "it waits for the end of the pause");
    stack.queue_command(&["resume", "process-image"]).await;
    let ready = stack.wait_for_status(&image, "ready").await;
    assert!(ready["error"].is_null(), "{ready}");
    stack.wait_for_empty_staging().await;
}

#[tokio::test]
async fn every_queue_and_schedule_is_listed() {
    let stack = Stack::start(1).await;
    // A worker registers itself and its schedules soon after it has started.
    let stats = eventually("a worker serves every queue", async || {
        let stats = stack.queue_command(&["stats"]).await;
        let queues = stats.as_array().unwrap();
        (queues.len() == 7 && queues.iter().all(|queue| queue["workers"] == 1)).then_some(stats)
    })
    .await;
    let names: Vec<_> = stats.as_array().unwrap().iter().map(|queue| queue["queue"].as_str().unwrap()).collect();
    let expected = [
        "delete-image",
        "process-image",
        "prune-idempotency-keys",
        "refold-titles",
        "resume-deletions",
        "retry-images",
        "sweep",
    ];
    assert_eq!(names, expected);
    let schedules = eventually("the schedules are there", async || {
        let schedules = stack.queue_command(&["schedules"]).await;
        (schedules.as_array().unwrap().len() == 5).then_some(schedules)
    })
    .await;
    let names: Vec<_> =
        schedules.as_array().unwrap().iter().map(|schedule| schedule["name"].as_str().unwrap()).collect();
    assert!(
        ["prune-idempotency-keys", "refold-titles", "resume-deletions", "retry-images", "sweep"]
            .iter()
            .all(|name| names.contains(name)),
        "{names:?}"
    );
    assert_eq!(stack.queue_command(&["check"]).await, serde_json::json!([]), "nothing is late");
    assert_eq!(stack.queue_command(&["prune"]).await["jobs"], 0, "nothing ended long ago");
}
