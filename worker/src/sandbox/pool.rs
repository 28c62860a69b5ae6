//! The pool: idle children, as many as pictures are rendered at once.
//!
//! A child is replaced when it has exceeded a limit, crashed, been killed, or handled its number of requests; when it keeps
//! more memory than [`PoolOptions::max_retained`]; and before it would render for another owner, so that one that an
//! attacker has taken over can only reach the pictures of that attacker. The next child is spawned at once,
//! so that a job finds it idle.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use darkroom_model::{ImageAnalysis, Owner};
use darkroom_pipeline::{Files, Limits, Rendered};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::timeout,
};
use tracing::{debug, error, info, warn};

use super::{
    SandboxError,
    confinement::Confinement,
    core_share::{CoreShare, Cores},
    process::{Child, Program, START_TIMEOUT},
    protocol::RenderRequest,
    resource_limits::ResourceLimits,
    spawner::Spawner,
};

/// The most that [`PoolOptions::max_retained`] should be, in bytes. A child that keeps more than this is not worth keeping.
pub const MAX_RETAINED_MEMORY: u64 = 64 << 20;
/// The files of all renditions together have at most this part of the request's memory. The estimate of a picture has several
/// times the length of the files that its noise makes.
const RENDITIONS_SHARE: u64 = 2;
/// How much longer than a request's deadline a request waits for an idle child.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
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
    /// A child that keeps more memory than this after a request is replaced, in bytes. So a child uses at most this much
    /// besides the memory of its request.
    pub max_retained: u64,
    /// Render in no child that the system does not confine.
    pub require_confinement: bool,
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

    /// Renders in an idle child that has rendered for no other owner, with at most `memory` bytes. Sends each rendition as soon as it is encoded;
    /// those sent before an error are to be discarded. Dropping the future kills the child.
    pub async fn render<'a>(
        &self,
        request: &RenderRequest,
        files: impl Into<Files<'a>>,
        memory: u64,
        renditions: &mpsc::Sender<Rendered>,
    ) -> Result<ImageAnalysis, SandboxError> {
        let files = files.into();
        let mut child = self.take_idle(request.owner).await?;
        let replacement = ReplaceOnDrop(&self.0);
        let options = &self.0.options;
        let cpu_time = options.deadline * (1 + request.limits.spare_cores);
        let limits = ResourceLimits { memory, renditions: memory / RENDITIONS_SHARE, cpu_time };
        let request = RenderRequest { limits: Limits { memory: Some(memory), ..request.limits }, ..request.clone() };
        let result = child.render(&request, files, limits, options.deadline, renditions).await;
        let is_usable = result.as_ref().err().is_none_or(SandboxError::leaves_child_usable);
        let keeps_little = || child.retained_memory() <= options.max_retained;
        if is_usable && child.requests < options.requests_per_child && keeps_little() {
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

    /// Memory that the idle children keep besides what they had at their start, in bytes; at most [`PoolOptions::max_retained`] each.
    pub fn retained_memory(&self) -> u64 {
        self.0.lock_idle().iter().map(Child::retained_memory).sum()
    }

    /// Waits until no more children can be spawned because the thread that spawns them has ended.
    pub async fn ended(&self) {
        self.0.spawner.ended().await;
    }

    /// Starts a child, and ends it once it has said how it is confined.
    ///
    /// # Errors
    /// [`SandboxError::Unconfined`] where confinement is required and missing; another error where no child can be started.
    pub async fn check_confinement(&self) -> Result<Confinement, SandboxError> {
        let options = &self.0.options;
        let (_, confinement) = start_child(self.0.spawner.clone(), options.require_confinement).await?;
        self.0.log_confinement(confinement);
        Ok(confinement)
    }

    /// The process ids of the idle children.
    pub fn idle_pids(&self) -> Vec<u32> {
        self.0.lock_idle().iter().map(Child::pid).collect()
    }

    /// Waits for an idle child that is alive and has rendered for no other owner. One that died while it was idle costs no
    /// attempt.
    ///
    /// # Errors
    /// [`SandboxError::Spawn`] where none becomes idle within the time in which each child ends a request or is replaced;
    /// another error where a child of another owner cannot be replaced.
    async fn take_idle(&self, owner: Owner) -> Result<Child, SandboxError> {
        self.warm_up();
        loop {
            let deadline = self.0.options.deadline + IDLE_TIMEOUT;
            let Ok(permit) = timeout(deadline, self.0.idle_count.acquire()).await else {
                let none = format!("none was idle within {deadline:?}");
                return Err(SandboxError::Spawn(io::Error::new(io::ErrorKind::TimedOut, none)));
            };
            permit.map(SemaphorePermit::forget).unwrap_or_default();
            let Some(mut child) = self.0.pop_idle(owner) else { continue };
            if child.has_exited() {
                warn!("an idle render process died");
                add_child(&self.0);
                continue;
            }
            if child.owner.is_none_or(|before| before == owner) {
                return Ok(child);
            }
            debug!("a render process of another owner is replaced");
            drop(child);
            let replacement = ReplaceOnDrop(&self.0);
            let child = self.0.start_child().await?;
            replacement.cancel();
            return Ok(child);
        }
    }
}

impl Shared {
    fn lock_idle(&self) -> MutexGuard<'_, VecDeque<Child>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The idle child that suits this owner best: one that has rendered for it, else one that has rendered for nobody, else
    /// the one that has been idle for longest.
    fn pop_idle(&self, owner: Owner) -> Option<Child> {
        let mut idle = self.lock_idle();
        let find = |wanted| idle.iter().position(|child: &Child| child.owner == wanted);
        let index = find(Some(owner)).or_else(|| find(None)).unwrap_or(0);
        idle.remove(index)
    }

    /// Starts a child that is confined as required.
    async fn start_child(&self) -> Result<Child, SandboxError> {
        let (child, confinement) = start_child(self.spawner.clone(), self.options.require_confinement).await?;
        self.count_started(confinement);
        Ok(child)
    }

    fn count_started(&self, confinement: Confinement) {
        debug!("a render process is ready");
        self.started.fetch_add(1, Ordering::Relaxed);
        self.log_confinement(confinement);
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
    let Some((spawner, required)) =
        pool.upgrade().map(|shared| (shared.spawner.clone(), shared.options.require_confinement))
    else {
        return Ok(());
    };
    let (child, confinement) = start_child(spawner, required).await?;
    if let Some(shared) = pool.upgrade() {
        shared.count_started(confinement);
        shared.put_idle(child);
    }
    Ok(())
}

/// Starts a child and waits until it is ready.
async fn start_child(spawner: Spawner, require_confinement: bool) -> Result<(Child, Confinement), SandboxError> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("it was not spawned within {START_TIMEOUT:?}"));
    let spawned = timeout(START_TIMEOUT, spawner.spawn_child()).await.map_err(late).and_then(|spawned| spawned);
    drop(spawner);
    let mut child = spawned.map_err(SandboxError::Spawn)?;
    let confinement = child.wait_until_ready().await?;
    if require_confinement && !confinement.is_sufficient() {
        return Err(SandboxError::Unconfined(confinement));
    }
    Ok((child, confinement))
}
