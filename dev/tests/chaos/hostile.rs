//! Hostile requests in great numbers, against the real binary.

use std::{collections::BTreeMap, time::Instant};

use darkroom_dev::testing::{
    hostile,
    stack::{Setup, Stack},
};
use futures::{StreamExt as _, stream};

/// Requests at once.
const AT_ONCE: usize = 64;
/// By how much the api's memory may grow after the first tenth of the requests, in kB.
const GROWTH: u64 = 32 << 10;
/// CPU time that a refused request may take, in ms per MiB of its body: ten times what is promised, because the clock has a
/// resolution of 10 ms and this machine may be busy.
const CPU_MS_PER_MIB: u64 = 50;

/// A number after this name in a file of the process.
fn status_kb(stack: &Stack, name: &str) -> u64 {
    let path = format!("/proc/{}/status", stack.api.process.id().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// CPU time of the api so far, in ms.
fn cpu_ms(stack: &Stack) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", stack.api.process.id().unwrap())).unwrap();
    // From the state, the third field: `utime` and `stime` are the 14th and 15th, in ticks of 10 ms.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    10 * fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
}

/// Sends the requests of these seeds, and returns how many were answered by each status.
async fn send(stack: &Stack, seeds: std::ops::Range<u64>) -> BTreeMap<Option<u16>, u64> {
    let address = stack.url.strip_prefix("http://").unwrap();
    let statuses = stream::iter(seeds).map(async |seed| {
        let status = hostile::status(address, &hostile::request(seed)).await;
        assert!(status.is_none_or(|status| status < 500), "{status:?} for the request of seed {seed}");
        status
    });
    let count = async |mut counts: BTreeMap<_, _>, status| {
        *counts.entry(status).or_default() += 1;
        counts
    };
    statuses.buffer_unordered(AT_ONCE).fold(BTreeMap::new(), count).await
}

#[tokio::test]
#[ignore = "takes minutes: make chaos"]
async fn a_hundred_thousand_hostile_requests_leave_memory_flat() {
    let stack = Stack::start_with(Setup::default()).await;
    send(&stack, 0..10_000).await;
    let before = status_kb(&stack, "VmRSS:");
    let (start, cpu) = (Instant::now(), cpu_ms(&stack));
    let statuses = send(&stack, 10_000..100_000).await;
    let after = status_kb(&stack, "VmRSS:");
    eprintln!(
        "{before} kB before, {after} kB after; {} ms of CPU time in {} ms; by status: {statuses:?}",
        cpu_ms(&stack) - cpu,
        start.elapsed().as_millis()
    );
    let answered: u64 = statuses.iter().filter_map(|(status, count)| status.and(Some(count))).sum();
    assert!(answered > 45_000, "most are answered: {statuses:?}");
    assert!(after < before + GROWTH, "{before} kB before, {after} kB after");
}

#[tokio::test]
async fn a_refused_request_takes_little_processor_time() {
    let stack = Stack::start_with(Setup::default()).await;
    let address = stack.url.strip_prefix("http://").unwrap();
    let head = "POST /v1/images HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Content-Type: multipart/form-data; boundary=x\r\n";
    let body = "\r\n\r".repeat(500_000);
    let begun = ["--x\r\n", "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n", ""];
    for start in begun {
        let body = format!("{start}{body}");
        // In one piece, and a byte a chunk: six bytes of the request for one of the form.
        let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let bytes =
            body.chars().fold(String::new(), |bytes, byte| bytes + "1\r\n" + byte.encode_utf8(&mut [0; 4]) + "\r\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{bytes}0\r\n\r\n");
        for request in [whole, chunked] {
            let before = cpu_ms(&stack);
            let status = hostile::status(address, request.as_bytes()).await;
            let taken = cpu_ms(&stack) - before;
            assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?}");
            let limit = 30 + CPU_MS_PER_MIB * (request.len() as u64 >> 20);
            eprintln!("{taken} ms of CPU time for {} bytes after {start:?}", request.len());
            assert!(taken <= limit, "{taken} ms for {} bytes after {start:?}", request.len());
        }
    }
}
