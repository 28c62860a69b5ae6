//! Hostile requests: random bytes, mutated uploads and crafted ones. The same seed makes the same requests.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a response may take; a connection without one by then counts as closed.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long after its last byte a request without a response is ended.
const END_OF_REQUEST: Duration = Duration::from_millis(300);

/// The bytes of one request.
#[must_use]
pub fn request(seed: u64) -> Vec<u8> {
    let mut dice = StdRng::seed_from_u64(seed);
    match dice.random_range(0..8) {
        0 => {
            let mut bytes = vec![0; dice.random_range(1..2000)];
            dice.fill(bytes.as_mut_slice());
            bytes
        }
        1 => get(&mut dice),
        2 | 3 => {
            let mut whole = upload(&form(&mut dice));
            mutate(&mut whole, &mut dice);
            whole
        }
        4 => chunked(&form(&mut dice), dice.random_range(1..20)),
        _ => {
            let mut form = form(&mut dice);
            mutate(&mut form, &mut dice);
            upload(&form)
        }
    }
}

/// Sends one request and returns the status of the response; `None` if the server closed the connection without one.
pub async fn status(address: &str, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let (mut read, mut write) = stream.split();
    let send = async {
        // The server may respond and close before it has read everything.
        if write.write_all(request).await.is_ok() {
            // A request that is cut short ends only with the connection, which a response must precede.
            sleep(END_OF_REQUEST).await;
            let _ = write.shutdown().await;
        }
        std::future::pending::<Option<u16>>().await
    };
    let receive = async {
        let mut start = [0; 12];
        read.read_exact(&mut start).await.ok()?;
        std::str::from_utf8(&start[9..]).ok()?.parse().ok()
    };
    let either = async {
        tokio::select! {
            status = receive => status,
            status = send => status,
        }
    };
    timeout(PATIENCE, either).await.ok()?
}

fn get(dice: &mut StdRng) -> Vec<u8> {
    let method = ["GET", "HEAD", "DELETE", "PUT", "OPTIONS", "PATCH", "X"][dice.random_range(0..7)];
    let path = match dice.random_range(0..6) {
        0 => format!("/v1/images?title={}", text(dice)),
        1 => format!("/v1/images?limit={}&cursor={}&status={}", text(dice), text(dice), text(dice)),
        2 => format!("/v1/images/{}", text(dice)),
        3 => format!("/v1/images/01890a5d-ac96-774b-bcce-b302099a8057/renditions/{}", text(dice)),
        4 => format!("/problems/{}", text(dice)),
        _ => format!("/{}", text(dice)),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {}\r\nConnection: close\r\n\r\n", text(dice))
        .into_bytes()
}

fn text(dice: &mut StdRng) -> String {
    let pieces =
        ["%00", "%ff", "..", "/", "%2f", "a", "%f0%9f%98%80", "'", "%25", "+", "0", "-1", "%0d%0a", "\\", "ready"];
    let count = if dice.random_range(0..20) == 0 { 2000 } else { dice.random_range(0..6) };
    (0..count).map(|_| pieces[dice.random_range(0..pieces.len())]).collect()
}

/// A form that is valid but for its file.
fn form(dice: &mut StdRng) -> Vec<u8> {
    let fields =
        [("title", "a\u{0}b"), ("width", "99999999999"), ("crop", "1,2,3"), ("lane", "x"), ("", ""), ("blur", "NaN")];
    let mut form = Vec::new();
    for _ in 0..dice.random_range(0..3) {
        let (name, value) = fields[dice.random_range(0..fields.len())];
        form.extend_from_slice(
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    form.extend_from_slice(b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n");
    form.extend_from_slice(&file(dice));
    form.extend_from_slice(b"\r\n--x--\r\n");
    form
}

/// A file with a signature, and random or crafted bytes after it.
fn file(dice: &mut StdRng) -> Vec<u8> {
    let signatures: [&[u8]; 10] = [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\xff\xff\xff\xffWEBPVP8X",
        b"\0\0\0\x0CJXL \r\n\x87\n",
        b"\xff\x0a",
        b"II*\0\x08\0\0\0",
        b"BM",
        b"\0\0\0\x14ftypavif\0\0\0\0mif1",
        b"",
    ];
    let mut file = signatures[dice.random_range(0..signatures.len())].to_vec();
    if dice.random_range(0..3) == 0 {
        // A 64-bit box.
        file.extend_from_slice(b"\0\0\0\x01skip");
        file.extend_from_slice(&(u64::MAX >> dice.random_range(0..40)).to_be_bytes());
    }
    let mut tail = vec![0; dice.random_range(0..1000)];
    dice.fill(tail.as_mut_slice());
    file.extend_from_slice(&tail);
    file
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut StdRng) {
    for _ in 0..dice.random_range(0..8) {
        let at = dice.random_range(0..bytes.len());
        match dice.random_range(0..4) {
            0 => bytes[at] = dice.random(),
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, *b"\r\n-\"=;:\0".get(dice.random_range(0..8)).unwrap_or(&0)),
            _ => {
                let piece = bytes[at..].iter().copied().take(100).collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
        }
    }
}

const HEAD: &str =
    "POST /v1/images HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=x\r\n";

fn upload(form: &[u8]) -> Vec<u8> {
    [format!("{HEAD}Content-Length: {}\r\n\r\n", form.len()).as_bytes(), form].concat()
}

fn chunked(form: &[u8], length: usize) -> Vec<u8> {
    let mut request = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in form.chunks(length) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}
