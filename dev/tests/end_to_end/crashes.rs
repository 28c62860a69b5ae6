//! Recovery from SIGKILL and SIGSEGV.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    pictures,
    stack::{Setup, Stack, eventually, id},
};

#[tokio::test]
async fn the_job_of_a_killed_worker_is_done_by_another() {
    let mut stack = Stack::start(1).await;
    let id = stack.upload(pictures::jpeg(&pictures::photo(5000, 4000, 1)), &[]).await;
    stack.wait_for_status(&id, "processing").await;
    let mut killed = stack.workers.remove(0);
    killed.process.kill().await.unwrap();
    assert_eq!(stack.image(&id).await.unwrap()["status"], "processing", "the worker was killed while it rendered");

    stack.start_worker();
    let image = stack.wait_for_status(&id, "ready").await;
    assert_eq!(image["attempts"], 2);
    let renditions = image["renditions"].as_array().unwrap().len();
    assert_eq!(stack.objects().len(), renditions, "both attempts wrote the same objects");
    stack.wait_for_empty_staging().await;
}

/// The render processes of a worker.
fn children(worker: u32) -> Vec<Pid> {
    let parent = format!("PPid:\t{worker}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |pid: &i32| {
        // It may have exited in the meantime.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == parent)
    };
    pids.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// Sends a signal to every render process of a worker until the image has failed.
async fn kill_children_until_failed(stack: &Stack, worker: u32, image: &str, signal: Signal) -> Value {
    eventually("every render process has crashed", async || {
        for child in children(worker) {
            // It may have exited.
            _ = kill_process(child, signal);
        }
        stack.image(image).await.filter(|image| image["status"] == "failed")
    })
    .await
}

#[tokio::test]
async fn a_picture_that_aborts_its_render_process_fails_at_once_and_can_be_released() {
    let mut stack = Stack::start(1).await;
    let worker = stack.workers[0].process.id().unwrap();
    let image = stack.upload(pictures::jpeg(&pictures::photo(5000, 4000, 1)), &[]).await;
    let failed = kill_children_until_failed(&stack, worker, &image, Signal::ABORT).await;
    assert_eq!(failed["error"]["code"], "crashed", "{failed}");
    assert_eq!(failed["error"]["detail"], "Rendering this JPEG picture crashes; it was not tried again.");
    let jobs = stack.queue_command(&["list", "--queue", "process-image"]).await;
    let job = jobs[0]["id"].as_str().unwrap();
    let shown = stack.queue_command(&["show", job]).await;
    assert_eq!((&shown["reason"], &shown["crashes"]), (&"quarantined".into(), &1.into()), "{shown}");
    assert_eq!(stack.staged().len(), 1, "the upload is kept");
    stack.queue_command(&["release", job]).await;
    stack.wait_for_status(&image, "ready").await;
    assert_eq!(stack.workers[0].process.try_wait().unwrap(), None, "the worker lives");
    stack.wait_for_empty_staging().await;
}

#[tokio::test]
async fn a_picture_whose_render_processes_crash_is_quarantined_and_can_be_released() {
    let settings = vec![("MAX_CRASHES", "2".to_owned())];
    let mut stack = Stack::start_with(Setup { workers: 1, settings, ..Setup::default() }).await;
    let worker = stack.workers[0].process.id().unwrap();
    let image = stack.upload(pictures::jpeg(&pictures::photo(5000, 4000, 1)), &[]).await;
    let failed = kill_children_until_failed(&stack, worker, &image, Signal::SEGV).await;
    assert_eq!(failed["error"]["code"], "crashed", "{failed}");
    assert_eq!(stack.workers[0].process.try_wait().unwrap(), None, "the worker lives");
    let jobs = stack.queue_command(&["list", "--queue", "process-image"]).await;
    let job = jobs[0]["id"].as_str().unwrap();
    let shown = stack.queue_command(&["show", job]).await;
    assert_eq!((&shown["reason"], &shown["crashes"]), (&"quarantined".into(), &2.into()), "{shown}");

    stack.queue_command(&["release", job]).await;
    let ready = stack.wait_for_status(&image, "ready").await;
    assert!(ready["error"].is_null(), "{ready}");
    stack.wait_for_empty_staging().await;
}

/// Uploads many pictures at once, and kills the api when some are accepted and others are still being uploaded. Returns
/// the ids of the accepted ones.
async fn upload_until_the_api_is_killed(stack: &Stack, seeds: Range<u32>) -> Vec<String> {
    let mut accepted = Vec::new();
    let upload = |seed| stack.try_upload(pictures::jpeg(&pictures::photo(300, 200, seed)), &[]);
    let mut answers: FuturesUnordered<_> = seeds.map(upload).collect();
    for _ in 0..6 {
        accepted.push(id(&answers.next().await.flatten().expect("the api is still alive")));
    }
    let pid = stack.api.process.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    while let Some(answer) = answers.next().await {
        accepted.extend(answer.as_ref().map(id));
    }
    accepted
}

#[tokio::test]
async fn every_202_survives_the_death_of_the_api() {
    let mut stack = Stack::start(1).await;
    let mut accepted = Vec::new();
    for round in 0..3 {
        accepted.extend(upload_until_the_api_is_killed(&stack, round * 24..(round + 1) * 24).await);
        stack.api.process.wait().await.unwrap();
        stack.restart_api().await;
    }

    for id in &accepted {
        stack.wait_for_status(id, "ready").await;
    }
    // Other images were committed, but the connection broke before the answer. They become ready too.
    for image in stack.list().await {
        stack.wait_for_status(&id(&image), "ready").await;
    }
    // The files that remain in staging belong to no image, so the sweep removes them once they are old.
    eventually("finished images leave staging", async || {
        let listed: Vec<String> = stack.list().await.iter().map(id).collect();
        let staged = stack.staged();
        (!staged.iter().any(|path| listed.iter().any(|id| path.ends_with(format!("1-{id}"))))).then_some(())
    })
    .await;
    let long_ago = SystemTime::now() - Duration::from_hours(72);
    for path in stack.staged() {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    assert!(stack.worker_command(&["sweep"]).await.success());
    assert!(stack.staged().is_empty());
}
