//! The S3 server of tests, over HTTP.

use darkroom_dev::{bucket::Server, testing};
use reqwest::StatusCode;

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let bucket = testing::bucket().await;
    let url = format!("{}/{}/a.txt", bucket.server.endpoint(), bucket.name);
    let http = testing::http();
    assert_eq!(http.put(&url).body("x").send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(http.get(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(!bucket.server.root().join(&bucket.name).join("a.txt").exists());
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let bucket = testing::bucket().await;
    let url = format!(
        "{}/{}/a.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=darkroom-test%2F20260101%2Fus-east-1%2Fs3%2F\
         aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        bucket.server.endpoint(),
        bucket.name,
        "0".repeat(64),
    );
    assert_eq!(testing::http().get(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn it_stops_and_starts_again_on_the_same_port() {
    let bucket = testing::bucket().await;
    let endpoint = bucket.server.endpoint();
    let http = testing::http();
    http.get(&endpoint).send().await.unwrap();
    let (server, _dir) = bucket.into_parts();
    let options = server.stop().await;
    let error = http.get(&endpoint).send().await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    let server = Server::start(options).await.unwrap();
    assert_eq!(server.endpoint(), endpoint);
    assert_eq!(http.get(&endpoint).send().await.unwrap().status(), StatusCode::FORBIDDEN);
}
