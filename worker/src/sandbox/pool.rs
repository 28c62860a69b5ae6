//! The pool: warm children, as many as pictures are rendered at once.
//!
//! A child is replaced when it has breached a limit, crashed, been cut off, or has had its number of orders; and after
//! an order of a large picture, so that what its allocator keeps is given back. The next is started at once, so that a
//! job finds it ready.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, Once, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
        mpsc as sync,
    },
    thread,
    time::Duration,
};

use darkroom_model::ImageAnalysis;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
};
use tracing::{debug, error, info, warn};

use darkroom_pipeline::{Files, Rendered};

use super::{
    RenderFault,
    confinement::Confinement,
    grant::Grant,
    process::{Child, Program},
    protocol::Order,
};

/// A child that has been granted more is not kept.
const KEPT: u64 = 512 << 20;
/// The first pause after a child could not be started; each next is twice as long, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How a pool is run.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// What is started.
    pub program: Program,
    /// How many children.
    pub size: usize,
    /// Orders that a child has before it is replaced.
    pub orders: u32,
    /// Longest time of one order.
    pub deadline: Duration,
}

/// Warm children. Dropped, it kills them.
#[derive(Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: PoolOptions,
    ready: Mutex<VecDeque<Child>>,
    /// A permit for each child in `ready`.
    count: Semaphore,
    nursery: sync::Sender<oneshot::Sender<io::Result<Child>>>,
    runtime: Handle,
    /// Children started so far.
    started: AtomicU32,
    /// Pictures that have a [`Share`].
    at_work: AtomicU32,
    warmed: Once,
    told: Once,
}

impl Pool {
    /// A pool whose children start with [`Self::warm`], or with the first picture. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(options: PoolOptions) -> io::Result<Self> {
        let runtime = Handle::current();
        let nursery = nursery(options.program.clone(), runtime.clone())?;
        let shared = Arc::new(Shared {
            ready: Mutex::default(),
            count: Semaphore::new(0),
            nursery,
            runtime,
            started: AtomicU32::new(0),
            at_work: AtomicU32::new(0),
            warmed: Once::new(),
            told: Once::new(),
            options,
        });
        Ok(Self(shared))
    }

    /// Starts the children, without waiting for them.
    pub fn warm(&self) {
        self.0.warmed.call_once(|| (0..self.0.options.size).for_each(|_| replace(&self.0)));
    }

    /// Renders in the next free child. Each rendition is handed over as soon as it is encoded; those handed over before
    /// an error are to be dropped. Cancelled (dropped), it kills the child at once.
    pub async fn render<'a>(
        &self,
        order: &Order,
        files: impl Into<Files<'a>>,
        memory: u64,
        renditions: &mpsc::Sender<Rendered>,
    ) -> Result<ImageAnalysis, RenderFault> {
        let files = files.into();
        let mut child = self.take().await;
        let place = Place(&self.0);
        let options = &self.0.options;
        let grant = Grant { memory, processor: options.deadline * (1 + order.limits.spare_cores) };
        let result = child.render(order, files, grant, options.deadline, renditions).await;
        let healthy = matches!(result, Ok(_) | Err(RenderFault::Refused { .. } | RenderFault::Failed { .. }));
        if healthy && child.orders < options.orders && memory <= KEPT {
            place.keep(child);
        }
        result
    }

    /// A picture's share of the machine, as long as it is held. To be asked for before [`Self::render`].
    pub fn share(&self) -> Share<'_> {
        let at_work = self.0.at_work.fetch_add(1, Ordering::Relaxed) + 1;
        let cores = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        Share { spare_cores: (cores / at_work).saturating_sub(1), at_work: &self.0.at_work }
    }

    /// How many children have been started so far: those that stand ready were, and each that was replaced.
    pub fn started(&self) -> u32 {
        self.0.started.load(Ordering::Relaxed)
    }

    /// The process ids of the children that wait for an order.
    pub fn waiting(&self) -> Vec<u32> {
        self.0.lock().iter().map(Child::pid).collect()
    }

    /// Waits for a child that lives. One that has died while it waited costs nobody an attempt.
    async fn take(&self) -> Child {
        self.warm();
        loop {
            if let Ok(permit) = self.0.count.acquire().await {
                permit.forget();
            }
            let Some(mut child) = self.0.lock().pop_front() else { continue };
            if child.is_dead() {
                warn!("a render process died while it waited");
                replace(&self.0);
                continue;
            }
            return child;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Child>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, child: Child) {
        self.lock().push_back(child);
        self.count.add_permits(1);
    }

    fn tell(&self, confinement: Confinement) {
        self.told.call_once(|| match confinement {
            Confinement { landlock: true, seccomp: true } => info!("render processes are confined"),
            Confinement { landlock, seccomp } => {
                warn!(landlock, seccomp, "the kernel confines render processes only in part; limits stand");
            }
        });
    }
}

/// What one picture has of the cores: an equal part, of those that work when it begins. So a picture alone has all, and
/// among as many pictures as there are cores each has one.
#[derive(Debug)]
pub struct Share<'a> {
    /// Cores beside its own.
    pub spare_cores: u32,
    at_work: &'a AtomicU32,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a child at work. Dropped without its child, it gets a new one.
struct Place<'a>(&'a Arc<Shared>);

impl Place<'_> {
    fn keep(self, child: Child) {
        self.0.put(child);
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        replace(self.0);
    }
}

/// Starts a child and makes it ready, for as long as there is a pool.
fn replace(shared: &Arc<Shared>) {
    let pool = Arc::downgrade(shared);
    shared.runtime.spawn(async move {
        let mut pause = PAUSES.0;
        while let Err(fault) = bear(&pool).await {
            error!(error = %fault, "cannot start a render process, trying again in {pause:?}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    });
}

async fn bear(pool: &Weak<Shared>) -> Result<(), RenderFault> {
    let Some(nursery) = pool.upgrade().map(|shared| shared.nursery.clone()) else { return Ok(()) };
    let (answer, started) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts them is gone");
    nursery.send(answer).map_err(|_| RenderFault::Start(gone()))?;
    let mut child = started.await.map_err(|_| RenderFault::Start(gone()))?.map_err(RenderFault::Start)?;
    drop(nursery);
    let confinement = child.ready().await?;
    if let Some(shared) = pool.upgrade() {
        debug!("a render process is ready");
        shared.started.fetch_add(1, Ordering::Relaxed);
        shared.tell(confinement);
        shared.put(child);
    }
    Ok(())
}

/// The thread that starts children. A child dies with the thread that has started it, and tokio's may end before the
/// process does; this one lives as long as the pool. A fork also blocks for milliseconds.
fn nursery(program: Program, runtime: Handle) -> io::Result<sync::Sender<oneshot::Sender<io::Result<Child>>>> {
    let (sender, orders) = sync::channel::<oneshot::Sender<io::Result<Child>>>();
    let start = move || {
        let _entered = runtime.enter();
        while let Ok(answer) = orders.recv() {
            // Nobody waits for it any more: dropped, it is killed.
            _ = answer.send(Child::spawn(&program));
        }
    };
    thread::Builder::new().name("render-nursery".to_owned()).spawn(start)?;
    Ok(sender)
}
