//! The pool: idle children, as many as pictures are rendered at once.
//!
//! A child is replaced when it has exceeded a limit, crashed, been killed, or handled its number of requests; and after
//! a request with much memory, so that the memory its allocator keeps is freed. The next child is spawned at once, so
//! that a job finds it idle.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use darkroom_model::ImageAnalysis;
use darkroom_pipeline::{Files, Rendered};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
};
use tracing::{debug, error, info, warn};

use super::{
    SandboxError,
    confinement::Confinement,
    core_share::{CoreShare, Cores},
    process::{Child, Program},
    protocol::RenderRequest,
    resource_limits::ResourceLimits,
    spawner::Spawner,
};

/// A child is replaced after a request with more memory than this, in bytes.
const MAX_REUSED_MEMORY: u64 = 512 << 20;
/// The delay after a child could not be started.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);
/// The delay doubles up to this.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);

/// How a pool runs.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The program of the children.
    pub program: Program,
    /// Number of children.
    pub size: usize,
    /// Number of requests after which a child is replaced.
    pub requests_per_child: u32,
    /// Wall-clock deadline of one request.
    pub deadline: Duration,
}

/// A pool of idle children. Dropping it kills them.
#[derive(Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: PoolOptions,
    idle: Mutex<VecDeque<Child>>,
    /// One permit for each child in `idle`.
    idle_count: Semaphore,
    spawner: Spawner,
    runtime: Handle,
    cores: Cores,
    /// Children started so far.
    started: AtomicU32,
    warmed_up: Once,
    confinement_logged: Once,
}

impl Pool {
    /// A pool that spawns its children at [`Self::warm_up`], or at the first request. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(options: PoolOptions) -> io::Result<Self> {
        let runtime = Handle::current();
        let spawner = Spawner::start(options.program.clone(), runtime.clone())?;
        let shared = Arc::new(Shared {
            idle: Mutex::default(),
            idle_count: Semaphore::new(0),
            spawner,
            runtime,
            cores: Cores::default(),
            started: AtomicU32::new(0),
            warmed_up: Once::new(),
            confinement_logged: Once::new(),
            options,
        });
        Ok(Self(shared))
    }

    /// Spawns the children, without waiting for them. A second call does nothing.
    pub fn warm_up(&self) {
        self.0.warmed_up.call_once(|| (0..self.0.options.size).for_each(|_| add_child(&self.0)));
    }

    /// Renders in the next idle child, with at most `memory` bytes. Sends each rendition as soon as it is encoded;
    /// those sent before an error are to be discarded. Dropping the future kills the child.
    pub async fn render<'a>(
        &self,
        request: &RenderRequest,
        files: impl Into<Files<'a>>,
        memory: u64,
        renditions: &mpsc::Sender<Rendered>,
    ) -> Result<ImageAnalysis, SandboxError> {
        let files = files.into();
        let mut child = self.take_idle().await;
        let replacement = ReplaceOnDrop(&self.0);
        let options = &self.0.options;
        let limits = ResourceLimits { memory, cpu_time: options.deadline * (1 + request.limits.spare_cores) };
        let result = child.render(request, files, limits, options.deadline, renditions).await;
        let is_usable = result.as_ref().err().is_none_or(SandboxError::leaves_child_usable);
        if is_usable && child.requests < options.requests_per_child && memory <= MAX_REUSED_MEMORY {
            replacement.cancel();
            self.0.put_idle(child);
        }
        result
    }

    /// A picture's share of the cores, as long as it is held. To be taken before [`Self::render`].
    pub fn core_share(&self) -> CoreShare<'_> {
        self.0.cores.share()
    }

    /// Number of children started so far: the first ones and every replacement.
    pub fn children_started(&self) -> u32 {
        self.0.started.load(Ordering::Relaxed)
    }

    /// The process ids of the idle children.
    pub fn idle_pids(&self) -> Vec<u32> {
        self.0.lock_idle().iter().map(Child::pid).collect()
    }

    /// Waits for an idle child that is alive. One that died while it was idle costs no attempt.
    async fn take_idle(&self) -> Child {
        self.warm_up();
        loop {
            if let Ok(permit) = self.0.idle_count.acquire().await {
                permit.forget();
            }
            let Some(mut child) = self.0.lock_idle().pop_front() else { continue };
            if child.has_exited() {
                warn!("an idle render process died");
                add_child(&self.0);
                continue;
            }
            return child;
        }
    }
}

impl Shared {
    fn lock_idle(&self) -> MutexGuard<'_, VecDeque<Child>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_idle(&self, child: Child) {
        self.lock_idle().push_back(child);
        self.idle_count.add_permits(1);
    }

    fn log_confinement(&self, confinement: Confinement) {
        self.confinement_logged.call_once(|| match confinement {
            Confinement { landlock: true, seccomp: true } => info!("render processes are confined"),
            Confinement { landlock, seccomp } => {
                warn!(landlock, seccomp, "the kernel confines render processes only in part; resource limits apply");
            }
        });
    }
}

/// Adds a child to the pool when dropped, in place of one that is at work.
struct ReplaceOnDrop<'a>(&'a Arc<Shared>);

impl ReplaceOnDrop<'_> {
    fn cancel(self) {
        std::mem::forget(self);
    }
}

impl Drop for ReplaceOnDrop<'_> {
    fn drop(&mut self) {
        add_child(self.0);
    }
}

/// Starts a child and adds it to the idle ones, in the background. Tries again until it succeeds or the pool is
/// dropped.
fn add_child(shared: &Arc<Shared>) {
    let pool = Arc::downgrade(shared);
    shared.runtime.spawn(async move {
        let mut delay = FIRST_RETRY_DELAY;
        while let Err(error) = try_add_child(&pool).await {
            error!(%error, "cannot start a render process, trying again in {delay:?}");
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(MAX_RETRY_DELAY);
        }
    });
}

async fn try_add_child(pool: &Weak<Shared>) -> Result<(), SandboxError> {
    // Holds the spawner and not the pool, so that dropping the pool is not delayed.
    let Some(spawner) = pool.upgrade().map(|shared| shared.spawner.clone()) else { return Ok(()) };
    let mut child = spawner.spawn_child().await.map_err(SandboxError::Spawn)?;
    drop(spawner);
    let confinement = child.wait_until_ready().await?;
    if let Some(shared) = pool.upgrade() {
        debug!("a render process is ready");
        shared.started.fetch_add(1, Ordering::Relaxed);
        shared.log_confinement(confinement);
        shared.put_idle(child);
    }
    Ok(())
}
