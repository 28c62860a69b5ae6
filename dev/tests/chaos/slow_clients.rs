//! Thousands of clients that read or write slowly, against an api that may open few files.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use darkroom_dev::testing::stack::{Setup, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

use crate::harness::ChaosTest;

const CLIENTS: usize = 2000;
/// The api's limit of open files.
const OPEN_FILES: u32 = 256;
/// How many probes must be answered while the clients are there.
const PROBES: usize = 40;
/// How long a probe waits: several times what an orchestrator would, because this machine may be busy with other tests.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

const UPLOAD: &[u8] = b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n\
    Content-Length: 1000000\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\x89PNG\r\n\x1a\n";

/// Raises this process's own limit of open files.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// Requests a page many times and reads one byte every second.
async fn read_slowly(address: &str) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20).as_bytes()).await.ok()?;
    while stream.read_u8().await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
    None
}

/// Sends headers, a byte every second.
async fn write_headers_slowly(address: &str) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.ok()?;
    loop {
        stream.write_all(b"x").await.ok()?;
        sleep(Duration::from_secs(1)).await;
    }
}

/// Sends an upload, a byte every second.
async fn write_body_slowly(address: &str) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(UPLOAD).await.ok()?;
    loop {
        stream.write_all(b"x").await.ok()?;
        sleep(Duration::from_secs(1)).await;
    }
}

/// How a client is slow.
#[derive(Clone, Copy, Debug)]
enum Slow {
    Reader,
    Writer,
}

/// Probes the api while slow clients come back whenever they are cut off, then expects normal service.
async fn probes_are_answered_under(slow: Slow) {
    raise_open_files();
    let setup = Setup { workers: 1, api_open_files: Some(OPEN_FILES), ..Setup::default() };
    let mut test = ChaosTest::start(setup).await;
    let address = test.stack.url.strip_prefix("http://").unwrap().to_owned();
    let connected = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let (address, connected) = (address.clone(), Arc::clone(&connected));
        clients.spawn(async move {
            loop {
                connected.fetch_add(1, Ordering::Relaxed);
                match slow {
                    Slow::Reader => read_slowly(&address).await,
                    Slow::Writer if n % 2 == 0 => write_headers_slowly(&address).await,
                    Slow::Writer => write_body_slowly(&address).await,
                };
                sleep(Duration::from_millis(200)).await;
            }
        });
    }
    eventually("all clients have come", async || (connected.load(Ordering::Relaxed) >= CLIENTS).then_some(())).await;
    let probe = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(PROBE_TIMEOUT).build().unwrap();
    let mut slowest = Duration::ZERO;
    for n in 0..PROBES {
        for path in ["/healthz", "/readyz"] {
            let start = Instant::now();
            let answer = probe.get(format!("{}{path}", test.stack.url)).send().await;
            let status = answer.map(|answer| answer.status().as_u16());
            assert_eq!(status.as_ref().ok(), Some(&200), "{path}, the {n}th time: {status:?}");
            if path == "/healthz" {
                slowest = slowest.max(start.elapsed());
            }
        }
    }
    clients.shutdown().await;
    let end = Instant::now();
    test.upload_many(20).await;
    eprintln!(
        "{slow:?}: the slowest probe took {} ms; 20 uploads were accepted {} ms after the end",
        slowest.as_millis(),
        end.elapsed().as_millis()
    );
    test.assert_invariants().await;
}

#[tokio::test]
async fn probes_are_answered_under_thousands_of_slow_readers() {
    probes_are_answered_under(Slow::Reader).await;
}

#[tokio::test]
async fn probes_are_answered_under_thousands_of_slow_writers() {
    probes_are_answered_under(Slow::Writer).await;
}
