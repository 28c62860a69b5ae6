//! A render child with the fault that its first argument names, for the tests of the pool.

use std::{
    env, fs, io,
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
    confinement::Confinement,
    pool::{MAX_RETAINED_MEMORY, Pool, PoolOptions},
    process::Program,
    protocol::{self, Reply},
};

fn main() -> ExitCode {
    let fault = env::args().nth(1).unwrap_or_default();
    if fault == "dead" {
        return ExitCode::FAILURE;
    }
    if fault == "worker" {
        return worker();
    }
    if fault == "unconfined" {
        return unconfined();
    }
    serve(&mut |request, files, emit| {
        // The socket is standard input, in both directions.
        let write_raw = |bytes: &[u8]| rustix::io::write(io::stdin(), bytes);
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
            "threads" => return Err(RenderError::Internal(threads_until_refused().to_string())),
            "signal" => return Err(RenderError::Internal(signal_results(files.source))),
            "library-memory" => return Err(RenderError::OutOfMemory("no room")),
            // More than one file may have, but each is no longer than the request's memory.
            "many-files" => {
                for number in 0..64 {
                    let mut bytes = b"\x89PNG\r\n\x1A\n".to_vec();
                    bytes.resize(8 << 20, 0);
                    let name = format!("r{number}.png");
                    emit(Rendered { name, format: RenditionFormat::Png, width: 1, height: 1, bytes })
                        .map_err(RenderError::Emit)?;
                }
            }
            // Address space that the allocator does not free.
            "retain" => std::mem::forget(vec![1_u8; 100 << 20]),
            _ => {}
        }
        render(files, &request.recipe, &request.limits, emit)
    })
}

/// A worker that starts a child, prints its process id, and waits to be killed.
#[tokio::main]
async fn worker() -> ExitCode {
    let program = Program { path: env::current_exe().unwrap_or_default(), arguments: vec!["hang".to_owned()] };
    let options = PoolOptions {
        program,
        size: 1,
        requests_per_child: 1,
        deadline: Duration::from_hours(1),
        max_retained: MAX_RETAINED_MEMORY,
        require_confinement: false,
    };
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

/// A child that says that the system does not confine it.
fn unconfined() -> ExitCode {
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut socket = UnixStream::from(socket);
    _ = protocol::write(&mut socket, &Reply::Ready(Confinement::default()), &[]);
    // Until the worker closes it.
    _ = io::copy(&mut socket, &mut io::sink());
    ExitCode::SUCCESS
}

/// Whether this process can send a signal to itself and to the process with the id that `source` has as text.
#[expect(unsafe_code, reason = "a system call that no crate offers")]
fn signal_results(source: &[u8]) -> String {
    let other: u32 = String::from_utf8_lossy(source).trim().parse().unwrap_or_default();
    // SAFETY: sends no signal, as 0 is none.
    let can_send = |pid: u32| unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, 0) == 0 };
    format!("self {}, other {}", can_send(std::process::id()), can_send(other))
}

/// The number of threads that can be started.
fn threads_until_refused() -> usize {
    let mut threads = 0;
    while threads < 100_000 && thread::Builder::new().stack_size(16 << 10).spawn(thread::park).is_ok() {
        threads += 1;
    }
    threads
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
