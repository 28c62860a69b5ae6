//! Uploads with an `Idempotency-Key`.

use futures::future::join_all;
use reqwest::{Method, multipart::Form};
use serde_json::json;

use crate::harness::{Api, ApiResponse, file, png};

/// Uploads with a key.
async fn post(api: &Api, key: &str, form: Form) -> ApiResponse {
    let request = api.http.post(format!("{}/v1/images", api.url)).header("idempotency-key", key);
    api.send(request.multipart(form)).await
}

async fn jobs(api: &Api) -> i64 {
    let sql = "SELECT count(*) FROM apalis.jobs WHERE job_type = 'process-image'";
    sqlx::query_scalar(sql).fetch_one(api.db()).await.unwrap()
}

/// Images, jobs and staged files.
async fn stored(api: &Api) -> (i64, i64, usize) {
    (api.images().await, jobs(api).await, api.staged().len())
}

/// Takes a key in a transaction that is not committed.
async fn hold(api: &Api, key: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut held = api.db().begin().await.unwrap();
    let sql = "INSERT INTO idempotency_keys (owner, key, fingerprint, answer, location)
               VALUES (1, $1, decode(repeat('00', 32), 'hex'), '{}', '/')";
    sqlx::query(sql).bind(key).execute(&mut *held).await.unwrap();
    held
}

/// Waits until so many connections wait for a lock.
async fn until_waiting(api: &Api, count: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(sql).fetch_one(api.db()).await.unwrap() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_same_upload_with_the_same_key_is_answered_again_and_makes_no_second_image() {
    let api = Api::start().await;
    let first = post(&api, "\"one\"", file(png(3, 2))).await;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (202, None));
    for key in ["\"one\"", "one"] {
        let again = post(&api, key, file(png(3, 2))).await;
        assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (202, Some("true")), "{key}");
        assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    assert_eq!(stored(&api).await, (1, 1, 1));
    let other = post(&api, "two", file(png(3, 2))).await;
    assert_ne!(other.json()["id"], first.json()["id"]);
    let shown = api.get(&format!("/v1/images/{}", first.json()["id"].as_str().unwrap())).await.json();
    assert_eq!(shown["created_at"], first.json()["created_at"]);
}

#[tokio::test]
async fn another_upload_with_the_same_key_is_refused() {
    let api = Api::start().await;
    assert_eq!(post(&api, "key", file(png(3, 2)).text("width", "2")).await.status, 202);
    for form in [
        file(png(3, 3)).text("width", "2"),
        file(png(3, 2)).text("width", "3"),
        file(png(3, 2)),
        file(png(3, 2)).text("width", "2").text("title", "other"),
        file(png(3, 2)).text("width", "2").text("lane", "other"),
    ] {
        post(&api, "key", form).await.problem(422, "/problems/idempotency-key-reused");
    }
    let same = Form::new().text("title", "picture.png").text("width", "2");
    let part = reqwest::multipart::Part::bytes(png(3, 2)).file_name("other.png");
    let same = post(&api, "key", same.part("file", part)).await;
    assert_eq!(same.header("idempotent-replayed"), Some("true"), "the same upload in another form");
    assert_eq!(stored(&api).await, (1, 1, 1));
}

#[tokio::test]
async fn uploads_of_one_key_at_once_make_one_image() {
    let api = Api::start().await;
    // Both are in their transactions at once, and wait for a third one that is rolled back.
    let held = hold(&api, "key").await;
    let uploads = join_all((0..2).map(|_| post(&api, "key", file(png(3, 2)))));
    let release = async {
        until_waiting(&api, 2).await;
        held.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(uploads, release);
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some()).count();
    assert_eq!((replayed, answers[0].status.as_u16()), (1, 202));
    assert_eq!(answers[0].text, answers[1].text);
    assert_eq!(stored(&api).await, (1, 1, 1));
}

#[tokio::test]
async fn different_uploads_of_one_key_at_once_make_one_image() {
    let api = Api::start().await;
    let answers = join_all((1..9).map(|width| post(&api, "key", file(png(width, 2))))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 422, 422, 422, 422, 422, 422, 422]);
    assert_eq!(stored(&api).await, (1, 1, 1));
}

#[tokio::test]
async fn a_key_that_stays_in_use_is_refused_for_now() {
    let api = Api::start().await;
    let held = hold(&api, "key").await;
    let refused = post(&api, "key", file(png(3, 2))).await;
    refused.problem(409, "/problems/idempotency-key-in-use");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(stored(&api).await, (0, 0, 0));
    held.rollback().await.unwrap();
    assert_eq!(post(&api, "key", file(png(3, 2))).await.status, 202);
}

#[tokio::test]
async fn only_success_is_remembered() {
    let api = Api::start().await;
    post(&api, "key", file(png(3, 2)).text("width", "0")).await.problem(422, "/problems/invalid-field");
    assert_eq!(post(&api, "key", file(png(3, 2)).text("dry_run", "true")).await.status, 200);
    let accepted = post(&api, "key", file(png(3, 2)).text("width", "1")).await;
    assert_eq!((accepted.status.as_u16(), accepted.header("idempotent-replayed")), (202, None));
    let dry = post(&api, "key", file(png(9, 9)).text("dry_run", "true")).await;
    assert_eq!(dry.status, 200, "a dry run has no key");
}

#[tokio::test]
async fn the_answer_is_given_again_after_the_image_was_deleted() {
    let api = Api::start().await;
    let first = post(&api, "key", file(png(3, 2))).await;
    let path = first.header("location").unwrap().to_owned();
    assert_eq!(api.request(Method::DELETE, &path).await.status, 202);
    let again = post(&api, "key", file(png(3, 2))).await;
    assert_eq!((&again.text, again.header("idempotent-replayed")), (&first.text, Some("true")));
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn an_answer_that_has_expired_is_not_given_again() {
    let api = Api::start_with(&[("IDEMPOTENCY_HOURS", "2")], |_| {}).await;
    let first = post(&api, "key", file(png(3, 2))).await.json();
    sqlx::query("UPDATE idempotency_keys SET created_at = now() - interval '121 minutes'")
        .execute(api.db())
        .await
        .unwrap();
    let second = post(&api, "key", file(png(9, 9))).await;
    assert_eq!((second.status.as_u16(), second.header("idempotent-replayed")), (202, None));
    assert_ne!(second.json()["id"], first["id"]);
    assert_eq!(post(&api, "key", file(png(9, 9))).await.json()["id"], second.json()["id"]);
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let api = Api::start().await;
    for key in ["\"", "\"a\"b", "a b", &"x".repeat(256), ""] {
        let problem = post(&api, key, file(png(3, 2))).await.problem(400, "/problems/invalid-parameter");
        assert_eq!(problem["parameter"], json!("Idempotency-Key"), "{key}");
    }
    assert_eq!(stored(&api).await, (0, 0, 0));
}

#[tokio::test]
async fn an_answer_is_given_again_when_no_more_images_are_allowed() {
    let api = Api::start_with(&[("MAX_STORED_IMAGES", "1")], |_| {}).await;
    let first = post(&api, "key", file(png(3, 2))).await;
    assert_eq!(api.post(file(png(3, 2))).await.status, 429);
    assert_eq!(post(&api, "key", file(png(3, 2))).await.text, first.text);
}
