//! The bounds of connections, requests, staging and the queue, and what is answered beyond them.

use std::os::unix::fs::PermissionsExt as _;

use darkroom_api::App;
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Duration,
};

use crate::{
    harness::{Api, KEY, file, png, png_of},
    images::render,
};

/// The type of a refusal until the service has less to do, or more room.
pub(crate) const REDUCED_CAPACITY: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// Sends the head of a request on a connection of its own.
pub(crate) async fn send(api: &Api, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    let headers = format!("Host: x\r\nAuthorization: Bearer {KEY}");
    stream.write_all(format!("{head}\r\n{headers}\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Requests a page on a connection of its own and returns status and headers; `None` if the connection was closed.
async fn get(api: &Api, path: &str) -> Option<(u16, String)> {
    let mut stream = send(api, &format!("GET {path} HTTP/1.1\r\nConnection: close")).await;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.ok()?;
    let response = String::from_utf8_lossy(&response).into_owned();
    Some((response.split(' ').nth(1)?.parse().ok()?, response))
}

async fn until_status(api: &Api, path: &str, status: u16) -> String {
    loop {
        match get(api, path).await {
            Some((found, response)) if found == status => return response,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Takes all connections to the database, so that requests for images wait for the service and not for their client.
async fn occupy(api: &Api) -> Vec<sqlx::pool::PoolConnection<sqlx::Postgres>> {
    futures::future::join_all((0..5).map(|_| async { api.db().acquire().await.unwrap() })).await
}

#[tokio::test]
async fn beyond_the_connections_only_probes_are_answered() {
    let api = Api::start_with(&[("MAX_CONNECTIONS", "2")], |_| {}).await;
    let database = occupy(&api).await;
    let mut busy = [send(&api, "GET /v1/images HTTP/1.1").await, send(&api, "GET /v1/images HTTP/1.1").await];
    let response = until_status(&api, "/openapi.json", 503).await;
    assert!(response.contains("/problems/overloaded"), "{response}");
    assert!(response.contains("retry-after: 5\r\n") && response.contains("connection: close\r\n"), "{response}");
    assert_eq!(get(&api, "/healthz").await.unwrap().0, 200);
    drop(database);
    for stream in &mut busy {
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    drop(busy);
    until_status(&api, "/openapi.json", 200).await;
}

#[tokio::test]
async fn beyond_the_requests_in_flight_only_probes_are_answered() {
    let api = Api::start_with(&[("MAX_REQUESTS", "1")], |_| {}).await;
    let database = occupy(&api).await;
    let busy = send(&api, "GET /v1/images HTTP/1.1").await;
    let response = until_status(&api, "/openapi.json", 503).await;
    assert!(response.contains("/problems/overloaded") && response.contains("retry-after: 5\r\n"), "{response}");
    assert_eq!(get(&api, "/healthz").await.unwrap().0, 200);
    drop((database, busy));
    until_status(&api, "/openapi.json", 200).await;
}

#[tokio::test]
async fn the_connection_that_waits_longest_for_its_client_makes_room() {
    let api = Api::start_with(&[("MAX_CONNECTIONS", "1")], |_| {}).await;
    let mut idle = TcpStream::connect(api.address()).await.unwrap();
    idle.write_all(b"GET / HT").await.unwrap();
    until_status(&api, "/openapi.json", 200).await;
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
}

#[tokio::test]
async fn a_client_that_takes_no_response_is_cut_off() {
    let api = Api::start_with(&[("MAX_CONNECTIONS", "1")], |app: &mut App| {
        app.idle_timeout = Duration::from_millis(50);
    })
    .await;
    // More responses than the buffers of both kernels hold.
    let mut slow = TcpStream::connect(api.address()).await.unwrap();
    let requests = "GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40);
    slow.write_all(requests.as_bytes()).await.unwrap();
    until_status(&api, "/openapi.json", 200).await;
    let length = get(&api, "/docs").await.unwrap().1.len();
    let mut received = Vec::new();
    let _ = slow.read_to_end(&mut received).await;
    assert!(received.len() < 40 * length, "{} of {} bytes", received.len(), 40 * length);
}

#[tokio::test]
async fn uploads_beyond_the_bytes_of_staging_are_refused() {
    let api = Api::start_with(&[("STAGING_MAX_BYTES", "100000")], |_| {}).await;
    let content = png_of(1, 1, 60_000);
    assert_eq!(api.post(file(content.clone())).await.status, 202);
    let refused = api.post(file(content)).await;
    refused.problem(503, REDUCED_CAPACITY);
    assert!(refused.header("retry-after").is_some());
    assert_eq!((api.images().await, api.staged().len()), (1, 1));
    assert_eq!(api.post(file(png(1, 1))).await.status, 202, "a smaller one fits");
}

#[tokio::test]
async fn uploads_that_would_fill_the_disk_are_refused_before_their_body() {
    let reserve = (1_u64 << 50).to_string();
    let api = Api::start_with(&[("STAGING_RESERVE_BYTES", reserve.as_str())], |_| {}).await;
    let head = "POST /v1/images HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\
                Expect: 100-continue";
    let mut stream = send(&api, head).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 503", "instead of 100 Continue");
    api.post(file(png(1, 1))).await.problem(503, REDUCED_CAPACITY);
    assert!(api.staged().is_empty());
}

#[tokio::test]
async fn uploads_beyond_the_pending_images_are_refused() {
    let api = Api::start_with(&[("MAX_PENDING_IMAGES", "2")], |_| {}).await;
    let first = api.upload("first").await;
    api.upload("second").await;
    let refused = api.post(file(png(1, 1))).await;
    refused.problem(503, REDUCED_CAPACITY);
    assert!(refused.header("retry-after").is_some());
    assert_eq!((api.images().await, api.staged().len()), (2, 2));
    // The count is renewed every few seconds.
    render(&api, &first, b"webp").await;
    while api.post(file(png(1, 1))).await.status != 202 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn staged_originals_are_for_the_service_alone() {
    let api = Api::start().await;
    let id = api.upload("private").await;
    let directory = api.bucket.dir.path().join(".staging");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("incoming"))), (0o700, 0o700));
    assert_eq!(mode(&directory.join(format!("1-{id}"))), 0o600);
}

#[tokio::test]
async fn pages_of_other_sites_can_change_nothing() {
    let api = Api::start_with(&[("ALLOWED_ORIGINS", "https://app.example")], |_| {}).await;
    let id = api.upload("kept").await;
    let url = format!("{}/v1/images", api.url);
    let post = || api.http.post(&url).multipart(file(png(1, 1)));
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        api.send(post().header(name, value)).await.problem(403, "/problems/cross-site-request");
        let delete = api.http.request(Method::DELETE, format!("{url}/{id}"));
        api.send(delete.header(name, value)).await.problem(403, "/problems/cross-site-request");
        assert_eq!(api.send(api.http.get(&url).header(name, value)).await.status, 200);
    }
    assert_eq!((api.images().await, api.staged().len()), (1, 1));
    let allowed = post().header("origin", "https://app.example").header("sec-fetch-site", "cross-site");
    assert_eq!(api.send(allowed).await.status, 202);
    assert_eq!(api.send(post().header("origin", &api.url)).await.status, 202, "the api's own page");
}

#[tokio::test]
async fn a_head_request_for_a_rendition_is_redirected_to_a_url_for_head() {
    let api = Api::start().await;
    let id = api.upload("picture").await;
    render(&api, &id, b"webp").await;
    let name = api.get(&format!("/v1/images/{id}")).await.json()["renditions"][0]["name"].as_str().unwrap().to_owned();
    for method in [Method::HEAD, Method::GET] {
        let redirect = api.request(method.clone(), &format!("/v1/images/{id}/renditions/{name}")).await;
        assert_eq!(redirect.status, 307);
        let response = api.http.request(method.clone(), redirect.header("location").unwrap()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{method}");
    }
}
