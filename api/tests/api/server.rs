//! The server over TCP: uploads that are too long, stall, abort or are refused early, and graceful shutdown.

use std::time::Duration;

use darkroom_api::App;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Api, KEY, png_of, until};

const PART: &str = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n";
const END: &str = "\r\n--x--\r\n";

/// The head of an upload request with additional headers.
fn head(more: &str) -> String {
    let line = "POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n";
    format!("{line}Authorization: Bearer {KEY}\r\n{more}\r\n\r\n")
}

async fn connect(api: &Api) -> TcpStream {
    TcpStream::connect(api.address()).await.unwrap()
}

/// Reads the first response and returns its status and the part of its body that has arrived.
async fn response(stream: &mut TcpStream) -> (u16, String) {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap();
        read.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && (length == 0 || body.ends_with('}'))
        {
            return (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned());
        }
        assert!(length > 0, "closed without a response: {text}");
    }
}

async fn small() -> Api {
    Api::start_with(&[("MAX_UPLOAD_BYTES", "1000000")], |_| {}).await
}

#[tokio::test]
async fn a_content_length_over_the_limit_is_refused_before_the_body_is_sent() {
    let api = small().await;
    let mut stream = connect(&api).await;
    let head = head("Content-Length: 99000000\r\nExpect: 100-continue");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(response(&mut stream).await.0, 413, "instead of 100 Continue");
}

#[tokio::test]
async fn an_endless_upload_without_a_length_is_cut_off_at_the_limit() {
    let api = small().await;
    let mut stream = connect(&api).await;
    stream.write_all(head("Transfer-Encoding: chunked").as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let send = async {
        let first = [PART.as_bytes(), &png_of(1, 1, 900_000)].concat();
        let piece = [format!("{:x}\r\n", first.len()).as_bytes(), &first, b"\r\n"].concat();
        while write.write_all(&piece).await.is_ok() {}
    };
    let receive = async {
        let mut buffer = vec![0; 4096];
        let length = read.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    tokio::select! {
        response = receive => assert!(response.starts_with("HTTP/1.1 413"), "{response}"),
        () = send => panic!("closed without a response"),
    }
    assert!(api.staged().is_empty());
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_receives_the_error() {
    let api = small().await;
    let mut stream = connect(&api).await;
    let body = [PART.as_bytes(), &png_of(1, 1, 20_000_000), END.as_bytes()].concat();
    stream.write_all(head(&format!("Content-Length: {}", body.len())).as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let (status, text) = response(&mut stream).await;
    assert_eq!(status, 413);
    assert!(text.contains("\"limit_bytes\":1000000"), "{text}");
    assert!(api.staged().is_empty());
}

#[tokio::test]
async fn an_unsupported_file_is_refused_while_it_is_being_sent() {
    let api = small().await;
    let mut stream = connect(&api).await;
    stream.write_all(head("Content-Length: 900000").as_bytes()).await.unwrap();
    stream.write_all(PART.as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; 1000]).await.unwrap();
    assert_eq!(response(&mut stream).await.0, 415, "before most of it is sent");
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let api = small().await;
    let mut stream = connect(&api).await;
    stream.write_all(head("Content-Length: 900000").as_bytes()).await.unwrap();
    stream.write_all(&[PART.as_bytes(), &png_of(1, 1, 500_000)].concat()).await.unwrap();
    until(|| api.staged().len() == 1).await;
    drop(stream);
    until(|| api.staged().is_empty()).await;
    assert_eq!(api.images().await, 0);
}

#[tokio::test]
async fn a_stalled_upload_times_out() {
    let api = Api::start_with(&[], |app: &mut App| app.idle_timeout = Duration::from_millis(50)).await;
    let mut stream = connect(&api).await;
    stream.write_all(head("Content-Length: 900000").as_bytes()).await.unwrap();
    stream.write_all(&[PART.as_bytes(), &png_of(1, 1, 1000)].concat()).await.unwrap();
    let (status, text) = response(&mut stream).await;
    assert_eq!(status, 408, "{text}");
    assert!(text.contains("/problems/request-timeout") && api.staged().is_empty(), "{text}");
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let api = small().await;
    let mut stream = connect(&api).await;
    let line = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    // The server may close the connection before it has read everything.
    let _ = stream.write_all(line.as_bytes()).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 431");
}

#[tokio::test]
async fn shutting_down_lets_a_running_upload_finish() {
    let mut api = small().await;
    let mut stream = connect(&api).await;
    let body = [PART.as_bytes(), &png_of(1, 1, 500_000), END.as_bytes()].concat();
    stream.write_all(head(&format!("Content-Length: {}", body.len())).as_bytes()).await.unwrap();
    stream.write_all(&body[..300_000]).await.unwrap();
    until(|| api.staged().len() == 1).await;
    api.stop();
    // Wait until new connections are refused.
    let address = api.address().to_owned();
    while TcpStream::connect(&address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(&body[300_000..]).await.unwrap();
    assert_eq!(response(&mut stream).await.0, 202);
    assert_eq!(api.images().await, 1);
    api.stopped().await;
}
