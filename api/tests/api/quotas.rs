//! What clients and owners may use, and what is answered beyond it.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, time::Duration};

use crate::{
    harness::{Api, ApiResponse, file, png, png_of},
    limits::{REDUCED_CAPACITY, send},
};

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// An api that reads each second what its owners use.
async fn start(settings: &[(&str, &str)]) -> Api {
    let api = Api::start_with(settings, |_| {}).await;
    let limiter = Arc::clone(&api.app.limiter);
    tokio::spawn(async move { limiter.maintain().await });
    api
}

/// Asserts that the limit of this name is exceeded.
fn assert_exceeded(response: &ApiResponse, policy: &str) {
    let problem = response.problem(429, QUOTA_EXCEEDED);
    assert_eq!(problem["violated-policies"], json!([policy]));
}

/// The limit of this name in `GET /v1/limits`.
async fn limit(api: &Api, name: &str) -> Value {
    let limits = api.get("/v1/limits").await.json();
    let mut items = limits["items"].as_array().unwrap().iter();
    items.find(|limit| limit["name"] == name).unwrap_or_else(|| panic!("{name}: {limits}")).clone()
}

async fn until_accepted(api: &Api) {
    while api.post(file(png(1, 1))).await.status != 202 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn beyond_its_requests_a_client_is_refused_before_its_body() {
    let api = start(&[("MAX_REQUESTS_PER_SECOND", "1")]).await;
    let first = api.get("/v1/images").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"requests\";q=10;w=10"));
    assert_eq!(first.header("ratelimit"), Some("\"requests\";r=9;t=1"));
    let mut last = first;
    while last.status == 200 {
        last = api.get("/v1/images").await;
    }
    assert_exceeded(&last, "requests");
    assert_eq!(last.header("retry-after"), Some("1"));
    assert_eq!(last.header("ratelimit"), Some("\"requests\";r=0;t=1"));
    let head = "POST /v1/images HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\
                Expect: 100-continue";
    let mut start = [0; 12];
    send(&api, head).await.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 429", "instead of 100 Continue");
    assert_eq!(api.get("/healthz").await.status, 200);
    while api.get("/v1/images").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn live_processes_share_the_requests_of_a_client() {
    let api = start(&[("MAX_REQUESTS_PER_SECOND", "1")]).await;
    let other = "INSERT INTO api_processes (id, seen_at) VALUES (gen_random_uuid(), now() + interval '1 hour')";
    sqlx::query(other).execute(api.db()).await.unwrap();
    // After the second heartbeat from now on, the result of the first is known.
    let mut heartbeats = std::collections::HashSet::new();
    while heartbeats.len() < 3 {
        let own = "SELECT max(seen_at)::text FROM api_processes WHERE seen_at <= now()";
        heartbeats.extend(sqlx::query_scalar::<_, Option<String>>(own).fetch_one(api.db()).await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Of 5 requests in 10 s that this process allows, the first leaves 4, as it does in the other.
    assert_eq!(api.get("/v1/images").await.header("ratelimit"), Some("\"requests\";r=8;t=2"));
}

#[tokio::test]
async fn beyond_the_bytes_of_an_hour_an_owner_is_refused_before_the_body() {
    let api = start(&[("MAX_BYTES_PER_HOUR", "100000")]).await;
    let accepted = api.post(file(png_of(1, 1, 60_000))).await;
    assert_eq!(accepted.status, 202);
    let policy = accepted.header("ratelimit-policy").unwrap();
    assert!(policy.ends_with(", \"bytes\";q=100000;qu=\"content-bytes\";w=3600"), "{policy}");
    let refused = api.post(file(png_of(1, 1, 60_000))).await;
    assert_exceeded(&refused, "bytes");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    let head = "POST /v1/images HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 60000\r\n\
                Expect: 100-continue";
    let mut start = [0; 12];
    send(&api, head).await.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 429", "instead of 100 Continue");
    assert_eq!(api.post(file(png(1, 1))).await.status, 202, "a smaller one fits");
    assert_eq!(api.images().await, 2);
}

#[tokio::test]
async fn an_owner_stores_no_more_images_than_it_may_until_some_are_gone() {
    let api = start(&[("MAX_STORED_IMAGES", "2")]).await;
    let (first, _) = (api.upload("first").await, api.upload("second").await);
    let refused = api.post(file(png(1, 1))).await;
    assert_exceeded(&refused, "stored-images");
    assert_eq!(refused.header("retry-after"), None, "waiting does not help");
    assert_eq!(api.request(Method::DELETE, &format!("/v1/images/{first}")).await.status, 202);
    // The worker's job.
    let id: uuid::Uuid = first.parse().unwrap();
    sqlx::query("DELETE FROM images WHERE id = $1").bind(id).execute(api.db()).await.unwrap();
    until_accepted(&api).await;
    assert_eq!(api.images().await, 2);
}

#[tokio::test]
async fn uploads_at_once_do_not_exceed_a_limit_together() {
    let api = start(&[("MAX_STORED_IMAGES", "3")]).await;
    let uploads = futures::future::join_all((0..12).map(|_| api.post(file(png_of(1, 1, 10_000))))).await;
    assert_eq!(uploads.iter().filter(|upload| upload.status == 202).count(), 3);
    assert_eq!(api.images().await, 3);
}

#[tokio::test]
async fn the_bytes_of_files_and_renditions_are_limited_together() {
    let api = start(&[("MAX_STORED_BYTES", "100000")]).await;
    let id = api.post(file(png_of(1, 1, 40_000))).await.json()["id"].as_str().unwrap().to_owned();
    assert_exceeded(&api.post(file(png_of(1, 1, 60_000))).await, "stored-bytes");
    crate::images::render(&api, &id, vec![7; 30_000].leak()).await;
    while limit(&api, "stored-bytes").await["used"].as_u64().unwrap() < 70_000 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_exceeded(&api.post(file(png_of(1, 1, 40_000))).await, "stored-bytes");
    assert_eq!(api.post(file(png_of(1, 1, 20_000))).await.status, 202);
}

#[tokio::test]
async fn an_upload_without_a_length_is_refused_where_nothing_is_left() {
    let api = start(&[("MAX_STORED_BYTES", "100")]).await;
    sqlx::query("INSERT INTO owner_usage (owner, images, bytes) VALUES (1, 1, 100)").execute(api.db()).await.unwrap();
    let head = "POST /v1/images HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nTransfer-Encoding: chunked\r\n\
                Expect: 100-continue";
    let mut start = [0; 12];
    send(&api, head).await.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 429", "instead of 100 Continue");
}

#[tokio::test]
async fn the_pending_images_of_an_owner_are_limited() {
    let api = start(&[("MAX_PENDING_IMAGES_PER_OWNER", "2")]).await;
    let first = api.upload("first").await;
    api.upload("second").await;
    let refused = api.post(file(png(1, 1))).await;
    assert_exceeded(&refused, "pending-images");
    assert!(refused.header("retry-after").is_some());
    crate::images::render(&api, &first, b"webp").await;
    until_accepted(&api).await;
}

#[tokio::test]
async fn the_limits_of_an_owner_precede_the_settings() {
    let api = start(&[("MAX_STORED_IMAGES", "1")]).await;
    api.upload("first").await;
    assert_exceeded(&api.post(file(png(1, 1))).await, "stored-images");
    let own = "INSERT INTO owner_limits (owner, stored_images, renditions_per_image) VALUES (1, 0, 3)";
    sqlx::query(own).execute(api.db()).await.unwrap();
    until_accepted(&api).await;
    assert_eq!(limit(&api, "stored-images").await.get("limit"), None);
    let many = api.post(file(png(1000, 9))).await.problem(422, "/problems/too-many-renditions");
    assert_eq!(many["max_renditions"], 3);
}

#[tokio::test]
async fn an_owner_whose_images_wait_too_long_uploads_no_more_for_now() {
    let api = start(&[("MAX_QUEUE_AGE_SECONDS", "60")]).await;
    let waits = "INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width,
            source_height, source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel,
            source_decoded_pixels)
        VALUES (1, '01890a5d-ac96-774b-bcce-b302099a8057', 'n', 'n', '{}', 1, '{\"recipe\": \"standard\"}', 'png', 1, 1, 1, 1,
            decode(repeat('00', 32), 'hex'), 1, 24, 1);
        INSERT INTO image_states (owner, id) VALUES (1, '01890a5d-ac96-774b-bcce-b302099a8057')";
    sqlx::raw_sql(waits).execute(api.db()).await.unwrap();
    let refused = api.post(file(png(1, 1))).await;
    refused.problem(503, REDUCED_CAPACITY);
    assert!(refused.header("retry-after").is_some());
    assert!(limit(&api, "queue-age").await["used"].as_u64().unwrap() > 60);
    sqlx::query("UPDATE image_states SET attempts = 1").execute(api.db()).await.unwrap();
    until_accepted(&api).await;
}

#[tokio::test]
async fn the_limits_in_force_are_listed_with_what_is_used() {
    let settings = [("MAX_STORED_IMAGES", "5"), ("MAX_UPLOAD_BYTES", "100000"), ("IDEMPOTENCY_HOURS", "3")];
    let api = start(&settings).await;
    let response = api.get("/v1/limits").await;
    assert_eq!((response.status.as_u16(), &response.json()["idempotency_seconds"]), (200, &json!(10_800)));
    let content = png(1, 1);
    assert_eq!(api.post(file(content.clone())).await.status, 202);
    let images = json!({ "name": "stored-images", "scope": "owner", "unit": "images", "limit": 5, "used": 1 });
    assert_eq!(limit(&api, "stored-images").await, images);
    let bytes = json!({
        "name": "bytes", "scope": "owner", "unit": "bytes", "window_seconds": 3600, "used": content.len(),
    });
    assert_eq!(limit(&api, "bytes").await, bytes);
    assert_eq!(limit(&api, "stored-bytes").await["used"], content.len());
    assert_eq!(limit(&api, "pending-images").await["used"], 1);
    assert_eq!(limit(&api, "file-bytes").await["limit"], 100_000);
    assert_eq!(limit(&api, "requests").await["limit"], 10_000);
}

#[tokio::test]
async fn what_a_stopped_process_has_received_counts_for_the_others() {
    let api = Api::start().await;
    let content = png_of(1, 1, 5000);
    assert_eq!(api.post(file(content.clone())).await.status, 202);
    api.app.limiter.stop().await;
    let settled: i64 =
        sqlx::query_scalar("SELECT bytes FROM bytes_in WHERE owner = 1").fetch_one(api.db()).await.unwrap();
    assert_eq!(settled, i64::try_from(content.len()).unwrap());
}

#[tokio::test]
async fn an_address_that_tries_keys_is_refused_and_valid_keys_are_not() {
    let api = start(&[("MAX_FAILED_AUTHENTICATIONS", "3")]).await;
    let guess = async || api.send_as(Some("garbage"), api.http.get(format!("{}/v1/images", api.url))).await;
    for _ in 0..3 {
        assert_eq!(guess().await.status, 401);
    }
    assert_exceeded(&guess().await, "failed-authentications");
    assert_eq!(api.get("/v1/images").await.status, 200, "from the same address");
}
