//! A render child with the fault that its first argument names, for the tests of the pool.

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
    // Opened before confinement, which forbids opening files.
    let mut socket = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).ok();
    serve(&mut |request, files, emit| {
        let mut write_raw = |bytes: &[u8]| socket.as_mut().map(|socket| socket.write_all(bytes));
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
            "garbage" => _ = write_raw(&[0x20; 4096]),
            "lengths" => _ = write_raw(&[0xFF; 4096]),
            "rendition" => {
                // Lengths that announce a file of 1 TiB.
                let head = br#"{"rendition":{"name":"full.png","format":"png","width":1,"height":1}}"#;
                let lengths = [&u32::try_from(head.len()).unwrap_or(0).to_le_bytes()[..], &(1_u64 << 40).to_le_bytes()];
                _ = write_raw(&[&lengths.concat()[..], head].concat());
            }
            "invalid-name" => {
                let (format, bytes) = (RenditionFormat::Png, b"\x89PNG\r\n\x1A\n".to_vec());
                emit(Rendered { name: "../x.png".to_owned(), format, width: 1, height: 1, bytes })
                    .map_err(RenderError::Emit)?;
            }
            "not-a-picture" => {
                let (format, bytes) = (RenditionFormat::Png, b"<script>".to_vec());
                emit(Rendered { name: "x.png".to_owned(), format, width: 1, height: 1, bytes })
                    .map_err(RenderError::Emit)?;
            }
            "escape" => return Err(RenderError::Internal(usable_resources())),
            _ => {}
        }
        render(files, &request.recipe, &request.limits, emit)
    })
}

/// A worker that starts a child, prints its process id, and waits to be killed.
#[tokio::main]
async fn worker() -> ExitCode {
    let program = Program { path: env::current_exe().unwrap_or_default(), arguments: vec!["hang".to_owned()] };
    let options = PoolOptions { program, size: 1, requests_per_child: 1, deadline: Duration::from_hours(1) };
    let Ok(pool) = Pool::start(options) else { return ExitCode::FAILURE };
    pool.warm_up();
    loop {
        if let [child] = pool.idle_pids()[..] {
            println!("{child}");
            return std::future::pending().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The names of the resources that this process can use, separated by spaces.
fn usable_resources() -> String {
    let mut usable = Vec::new();
    let mut check = |resource: &str, is_usable: bool| {
        if is_usable {
            usable.push(resource.to_owned());
        }
    };
    check("read", fs::read("/etc/passwd").is_ok());
    check("write", fs::write("/tmp/darkroom-escape", "x").is_ok());
    check("list", fs::read_dir("/").is_ok());
    check(
        "tcp",
        !matches!(TcpStream::connect("127.0.0.1:9"), Err(error) if error.kind() == io::ErrorKind::PermissionDenied),
    );
    check("udp", UdpSocket::bind("127.0.0.1:0").is_ok());
    check("unix", UnixStream::pair().is_ok());
    check("exec", Command::new("/bin/true").spawn().is_ok());
    // The variables that `sandbox::process` sets; the worker's own must not be there.
    let expected = ["RAYON_NUM_THREADS", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"];
    check("environment", env::vars_os().any(|(name, _)| !expected.iter().any(|n| name == *n)));
    check("thread", thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok()));
    usable.join(" ")
}
