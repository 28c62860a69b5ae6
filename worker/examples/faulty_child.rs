//! A render child that does what its first argument says: for the tests of the pool, and never shipped.

use std::{
    env, fs,
    io::{self, Write as _},
    net::{TcpStream, UdpSocket},
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::{Command, ExitCode, abort, exit},
    thread,
    time::Duration,
};

use darkroom_model::RenditionFormat;
use darkroom_pipeline::{RenderError, Rendered, render};
use darkroom_worker::sandbox::{
    child::serve,
    pool::{Pool, PoolOptions},
    process::Program,
};

fn main() -> ExitCode {
    let fault = env::args().nth(1).unwrap_or_default();
    if fault == "dead" {
        return ExitCode::FAILURE;
    }
    if fault == "worker" {
        return worker();
    }
    // Outlives confinement: nothing is opened later.
    let mut socket = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).ok();
    serve(&mut |order, files, emit| {
        let mut raw = |bytes: &[u8]| socket.as_mut().map(|socket| socket.write_all(bytes));
        match fault.as_str() {
            "abort" => abort(),
            "panic" => panic!("a bug"),
            "exit" => exit(7),
            "hang" => loop {
                thread::sleep(Duration::from_hours(1));
            },
            "spin" => loop {
                std::hint::black_box(0);
            },
            "memory" => {
                let mut taken = Vec::new();
                loop {
                    taken.push(vec![1_u8; 16 << 20]);
                }
            }
            "garbage" => _ = raw(&[0x20; 4096]),
            "lengths" => _ = raw(&[0xFF; 4096]),
            "rendition" => {
                // A head that promises a file longer than any memory.
                let head = br#"{"rendition":{"name":"full.png","format":"png","width":1,"height":1}}"#;
                let lengths = [&u32::try_from(head.len()).unwrap_or(0).to_le_bytes()[..], &(1_u64 << 40).to_le_bytes()];
                _ = raw(&[&lengths.concat()[..], head].concat());
            }
            "name" => {
                let (format, bytes) = (RenditionFormat::Png, b"\x89PNG\r\n\x1A\n".to_vec());
                emit(Rendered { name: "../x.png".to_owned(), format, width: 1, height: 1, bytes })
                    .map_err(RenderError::Emit)?;
            }
            "page" => {
                let (format, bytes) = (RenditionFormat::Png, b"<script>".to_vec());
                emit(Rendered { name: "x.png".to_owned(), format, width: 1, height: 1, bytes })
                    .map_err(RenderError::Emit)?;
            }
            "escape" => return Err(RenderError::Internal(escapes())),
            _ => {}
        }
        render(files, &order.recipe, &order.limits, emit)
    })
}

/// A worker that has a child, prints its process id, and waits to be killed.
#[tokio::main]
async fn worker() -> ExitCode {
    let program = Program { path: env::current_exe().unwrap_or_default(), arguments: vec!["hang".to_owned()] };
    let options = PoolOptions { program, size: 1, orders: 1, deadline: Duration::from_hours(1) };
    let Ok(pool) = Pool::start(options) else { return ExitCode::FAILURE };
    pool.warm();
    loop {
        if let [child] = pool.waiting()[..] {
            println!("{child}");
            return std::future::pending().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What this process can reach, a word each.
fn escapes() -> String {
    let mut reached = Vec::new();
    let mut attempt = |what: &str, reached_it: bool| {
        if reached_it {
            reached.push(what.to_owned());
        }
    };
    attempt("read", fs::read("/etc/passwd").is_ok());
    attempt("write", fs::write("/tmp/darkroom-escape", "x").is_ok());
    attempt("list", fs::read_dir("/").is_ok());
    attempt(
        "tcp",
        !matches!(TcpStream::connect("127.0.0.1:9"), Err(error) if error.kind() == io::ErrorKind::PermissionDenied),
    );
    attempt("udp", UdpSocket::bind("127.0.0.1:0").is_ok());
    attempt("unix", UnixStream::pair().is_ok());
    attempt("exec", Command::new("/bin/true").spawn().is_ok());
    // What `sandbox::process` sets, and nothing of the worker's own.
    let set = ["RAYON_NUM_THREADS", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"];
    attempt("environment", env::vars_os().any(|(name, _)| !set.iter().any(|n| name == *n)));
    attempt("thread", thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok()));
    reached.join(" ")
}
