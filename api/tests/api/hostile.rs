//! Requests that no honest client sends.

use darkroom_dev::testing::hostile;
use futures::{StreamExt as _, stream};
use reqwest::header::CONTENT_TYPE;

use crate::harness::{Api, KEY, file};

#[tokio::test]
async fn no_hostile_request_causes_a_server_error() {
    // Without keys, so that all requests reach their operations.
    let api = Api::start_with(&[("AUTH", "off")], |_| {}).await;
    let address = api.address().to_owned();
    stream::iter(0..1500)
        .for_each_concurrent(16, async |seed| {
            let status = hostile::status(&address, &hostile::request(seed)).await;
            assert!(status.is_none_or(|status| status < 500), "{status:?} for the request of seed {seed}");
        })
        .await;
    assert_eq!(api.get("/healthz").await.status, 200);
}

/// A kernel refuses to seek past the maximum file size, which says nothing about the disk.
#[tokio::test]
async fn a_file_with_an_offset_past_the_maximum_file_size_is_broken() {
    let api = Api::start().await;
    for start in [b"\0\0\0\x0CJXL \r\n\x87\n".as_slice(), b"\0\0\0\x14ftypavif\0\0\0\0mif1"] {
        for size in [1_u64 << 44, i64::MAX as u64, u64::MAX] {
            let content = [start, b"\0\0\0\x01skip", &size.to_be_bytes(), &[0; 100]].concat();
            api.post(file(content)).await.problem(422, "/problems/broken-image");
        }
    }
}

#[tokio::test]
async fn an_error_repeats_only_the_beginning_of_what_it_names() {
    let api = Api::start().await;
    let long = "x".repeat(30_000);
    let not_found = api.get(&format!("/{long}")).await;
    not_found.problem(404, "/problems/not-found");
    let not_allowed = api.request(reqwest::Method::PUT, &format!("/problems/{long}")).await;
    not_allowed.problem(405, "/problems/method-not-allowed");
    let parameter = api.get(&format!("/v1/images?status={long}")).await;
    parameter.problem(400, "/problems/invalid-parameter");
    let head = format!("--x\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n\r\n--x--", &long[..10_000]);
    let request = api.http.post(format!("{}/v1/images", api.url)).body(head);
    let field = api.send(request.header(CONTENT_TYPE, "multipart/form-data; boundary=x")).await;
    field.problem(400, "/problems/invalid-form");
    for response in [not_found, not_allowed, parameter, field] {
        assert!(response.text.len() < 2000, "{} bytes: {:.200}", response.text.len(), response.text);
    }
}

#[tokio::test]
async fn the_headers_of_a_part_are_bounded() {
    let api = Api::start().await;
    for (headers, expected) in [(10_000, 422), (20_000, 400)] {
        let head = format!("X: {}\r\nContent-Disposition: form-data; name=\"width\"", "x".repeat(headers));
        let request =
            api.http.post(format!("{}/v1/images", api.url)).body(format!("--x\r\n{head}\r\n\r\nten\r\n--x--"));
        let response = api.send(request.header(CONTENT_TYPE, "multipart/form-data; boundary=x")).await;
        assert_eq!(response.status, expected, "{}", response.text);
    }
}

#[tokio::test]
async fn a_form_in_very_short_chunks_is_refused() {
    let api = Api::start().await;
    let form = format!("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n{}", "G".repeat(20_000));
    let chunks =
        form.chars().fold(String::new(), |chunks, byte| chunks + "1\r\n" + byte.encode_utf8(&mut [0; 4]) + "\r\n");
    let head = "POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n";
    let request = format!("{head}Authorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let status = hostile::status(api.address(), request.as_bytes()).await;
    assert!(matches!(status, None | Some(400 | 415)), "{status:?}");
    assert!(api.staged().is_empty());
}
