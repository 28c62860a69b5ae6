//! An S3 server in this process. It keeps objects as files and checks signatures.
//!
//! It is `s3s-fs`, which is made for tests. It does not support keys over 162 bytes, an object `a` beside an object
//! `a/b`, and two writers of one key at once (their bytes mix). A put to a bucket that does not exist creates it.

mod fault;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

pub use self::fault::Fault;
use self::fault::{CurrentFault, FaultyService};
use crate::port;

/// The region of every bucket here.
pub const REGION: &str = "us-east-1";

/// How long running requests may continue after the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Options of an S3 server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Contains a directory for each bucket. Created if missing.
    pub root: PathBuf,
    /// `None`: a free port.
    pub port: Option<u16>,
    /// The only access key id that is accepted.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
}

/// A running S3 server on 127.0.0.1. It runs in the tokio runtime that started it, and stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    options: Options,
    port: u16,
    fault: CurrentFault,
    requests: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server. It accepts connections when this returns.
    ///
    /// # Errors
    /// The port is in use, or the root cannot be created or read.
    pub async fn start(options: Options) -> Result<Self> {
        let explain = || format!("cannot keep objects in {}", options.root.display());
        fs::create_dir_all(&options.root).with_context(explain)?;
        let files = FileSystem::new(&options.root).map_err(|error| anyhow!("{error:?}")).with_context(explain)?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(options.key_id.as_str(), options.secret.as_str()));
        let port = options.port.map_or_else(port::free, Ok)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("the S3 server cannot listen on port {port}"))?;
        let (stop, stopped) = oneshot::channel();
        let fault = CurrentFault::default();
        let requests = Arc::<AtomicU64>::default();
        let service = FaultyService { service: service.build(), fault: fault.clone(), requests: Arc::clone(&requests) };
        let task = tokio::spawn(serve(listener, service, stopped));
        Ok(Self { options, port, fault, requests, stop, task })
    }

    /// Creates a bucket unless it exists. `name` as in S3: lower-case letters, digits and `-`.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        let dir = self.options.root.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))
    }

    /// Injects a fault into all later requests; `None`: no fault. Running requests are not affected.
    pub fn inject(&self, fault: impl Into<Option<Fault>>) {
        self.fault.set(fault.into());
    }

    /// Number of requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// `http://127.0.0.1:<port>`, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The access key id that is accepted.
    pub fn key_id(&self) -> &str {
        &self.options.key_id
    }

    /// The secret of that key.
    pub fn secret(&self) -> &str {
        &self.options.secret
    }

    /// Where the objects are: `<root>/<bucket>/<key>`.
    pub fn root(&self) -> &Path {
        &self.options.root
    }

    /// Stops the server after the running requests, within 5 s. Returns the options that start it again with the same
    /// port and objects.
    pub async fn stop(self) -> Options {
        // Fails if the server has stopped already.
        let _ = self.stop.send(());
        let _ = self.task.await;
        Options { port: Some(self.port), ..self.options }
    }
}

async fn serve(listener: TcpListener, service: FaultyService, mut stopped: oneshot::Receiver<()>) {
    let http = auto::Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else {
                    // Too many open files, or a client that has disconnected again: try the next one.
                    sleep(Duration::from_millis(10)).await;
                    continue;
                };
                if service.fault.get() == Some(Fault::Down) {
                    continue;
                }
                socket
            }
            // Sent, or dropped with the `Server`.
            _ = &mut stopped => break,
        };
        let connection = http.serve_connection(TokioIo::new(socket), service.clone()).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client may disconnect at any time.
            let _ = connection.await;
        });
    }
    drop(listener);
    let _ = timeout(DRAIN, graceful.shutdown()).await;
}
