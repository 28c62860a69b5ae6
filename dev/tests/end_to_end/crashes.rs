//! SIGKILL, at the worst of times.

use std::time::{Duration, SystemTime};

use crate::{
    pictures,
    stack::{Stack, eventually, id},
};

#[tokio::test]
async fn a_job_whose_worker_is_killed_is_done_by_another() {
    let mut stack = Stack::start(1).await;
    let id = stack.upload(pictures::jpeg(&pictures::photo(5000, 4000, 1)), &[]).await;
    stack.reaches(&id, "processing").await;
    let mut killed = stack.workers.remove(0);
    killed.process.kill().await.unwrap();
    assert_eq!(stack.image(&id).await.unwrap()["status"], "processing", "it was killed in the middle");

    stack.start_worker();
    let image = stack.reaches(&id, "ready").await;
    assert_eq!(image["attempts"], 2);
    let renditions = image["renditions"].as_array().unwrap().len();
    assert_eq!(stack.objects().len(), renditions, "both attempts wrote the same objects");
    stack.staging_is_empty().await;
}

#[tokio::test]
async fn every_202_survives_the_death_of_the_api() {
    let mut stack = Stack::start(1).await;
    let mut accepted = Vec::new();
    for round in 0..3 {
        let uploads =
            (0..24).map(|n| stack.try_upload(pictures::jpeg(&pictures::photo(300, 200, round * 24 + n)), &[]));
        let uploads: futures::stream::FuturesUnordered<_> = uploads.collect();
        // Killed as soon as some are accepted, while the others are under way.
        let mut answers = std::pin::pin!(uploads);
        for _ in 0..6 {
            let answer = futures::StreamExt::next(&mut answers).await.flatten();
            accepted.push(id(&answer.expect("the api lives still")));
        }
        let pid = i32::try_from(stack.api.process.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        while let Some(answer) = futures::StreamExt::next(&mut answers).await {
            accepted.extend(answer.as_ref().map(id));
        }
        stack.api.process.wait().await.unwrap();
        stack.restart_api().await;
    }

    for id in &accepted {
        stack.reaches(id, "ready").await;
    }
    // What else is visible was committed, too; only its answer was lost. Nothing is visible that does not become ready.
    for image in stack.list().await {
        stack.reaches(&id(&image), "ready").await;
    }
    // What is left in staging was never accepted: the sweep removes it once it is old.
    eventually("finished images leave staging", async || {
        let listed: Vec<String> = stack.list().await.iter().map(id).collect();
        let staged = stack.staged();
        (!staged.iter().any(|path| listed.iter().any(|id| path.ends_with(id)))).then_some(())
    })
    .await;
    let long_ago = SystemTime::now() - Duration::from_secs(3 * 86_400);
    for path in stack.staged() {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    assert!(stack.worker_command(&["sweep"]).await.success());
    assert!(stack.staged().is_empty());
}
