//! Work on other threads where cores would idle.
//!
//! The threads are started once per process and kept: a render process starts them before it confines itself, and cannot start
//! any afterwards.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use rayon_core::{Scope, ThreadPool, ThreadPoolBuilder};

/// The most threads besides the calling one that can have work: the standard set has eight renditions.
const MAX_THREADS: u32 = 7;

/// The threads of this process; `None` where it has none.
static THREADS: OnceLock<Option<ThreadPool>> = OnceLock::new();

/// Starts the threads on which spare cores work, `count` but seven at most, and waits until all of them run. Returns their
/// number: 0 where the system refuses them; then all work is done on the calling thread. A second call changes nothing.
///
/// Without this call, the first picture with a spare core starts them. Call it before the process gives up the right to start
/// threads.
pub fn start_threads(count: u32) -> u32 {
    let start = || {
        let count = usize::try_from(count.min(MAX_THREADS)).ok().filter(|count| *count > 0)?;
        let threads = ThreadPoolBuilder::new().num_threads(count).thread_name(|_| "render".to_owned()).build().ok()?;
        threads.broadcast(|_| ());
        Some(threads)
    };
    let threads = THREADS.get_or_init(start).as_ref();
    threads.map_or(0, |threads| u32::try_from(threads.current_num_threads()).unwrap_or(u32::MAX))
}

/// One thread for each core besides the first, and at least one.
fn default_threads() -> u32 {
    available_parallelism().map_or(1, |cores| u32::try_from(cores.get() - 1).unwrap_or(u32::MAX).max(1))
}

#[cfg(feature = "heic")]
thread_local! {
    /// A pool of the calling thread alone.
    static THIS_THREAD: Option<ThreadPool> = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
}

/// Calls `work` with a rayon pool of this thread alone. Otherwise a library that uses rayon would start rayon's global pool, and a
/// confined process cannot start threads.
#[cfg(feature = "heic")]
pub(crate) fn on_this_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    THIS_THREAD.with(|pool| match pool {
        Some(pool) => pool.install(work),
        // The thread belongs to a pool already.
        None => work(),
    })
}

/// Cores besides the one that renders the picture.
#[derive(Debug)]
pub(crate) struct SpareCores(AtomicU32);

/// Starts tasks within [`SpareCores::scope`].
pub(crate) struct Tasks<'scope, 'a, E> {
    cores: &'scope SpareCores,
    /// `None` where the process has no threads for spare cores.
    scope: Option<&'a Scope<'scope>>,
    /// Number of tasks that were started on other threads.
    started: AtomicUsize,
    /// Errors of tasks on other threads, by the order in which the tasks were started.
    errors: Arc<Mutex<BTreeMap<usize, E>>>,
}

impl SpareCores {
    /// At most as many as this process has threads for them.
    pub(crate) fn new(count: u32) -> Self {
        Self(AtomicU32::new(if count == 0 { 0 } else { count.min(start_threads(default_threads())) }))
    }

    /// Calls `work`, which may start tasks, and waits for all of them. Returns the error of the first task that failed, else
    /// what `work` returns.
    pub(crate) fn scope<'scope, T, E: Send + 'scope>(
        &'scope self,
        work: impl FnOnce(&Tasks<'scope, '_, E>) -> Result<T, E>,
    ) -> Result<T, E> {
        let errors = Arc::new(Mutex::new(BTreeMap::new()));
        let (started, theirs) = (AtomicUsize::new(0), Arc::clone(&errors));
        let result = match THREADS.get() {
            Some(Some(threads)) => threads
                .in_place_scope(|scope| work(&Tasks { cores: self, scope: Some(scope), started, errors: theirs })),
            _ => work(&Tasks { cores: self, scope: None, started, errors: theirs }),
        };
        let first = errors.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
        first.map_or(result, |(_, error)| Err(error))
    }

    /// Calls `first` on a spare core while it calls `second`, and waits for both. Without a spare core it calls one after the
    /// other, and `second` only where `first` succeeds.
    pub(crate) fn join<A: Send, B, E: Send>(
        &self,
        first: impl FnOnce() -> Result<A, E> + Send,
        second: impl FnOnce() -> Result<B, E>,
    ) -> Result<(A, B), E> {
        let slot = Mutex::new(None);
        let second = self.scope(|tasks| {
            tasks.run(|| {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(first()?);
                Ok(())
            })?;
            second()
        })?;
        let first = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((first.unwrap_or_else(|| unreachable!("a task without an error has filled it")), second))
    }
}

impl<'scope, E: Send + 'scope> Tasks<'scope, '_, E> {
    /// Runs a task on a spare core, or at once on this thread where there is none; then its error is returned here.
    pub(crate) fn run(&self, task: impl FnOnce() -> Result<(), E> + Send + 'scope) -> Result<(), E> {
        let cores = self.cores;
        let Some(scope) = self.scope else { return task() };
        if cores.0.fetch_update(Relaxed, Relaxed, |spare| spare.checked_sub(1)).is_err() {
            return task();
        }
        let (index, errors) = (self.started.fetch_add(1, Relaxed), Arc::clone(&self.errors));
        scope.spawn(move |_| {
            let result = task();
            cores.0.fetch_add(1, Relaxed);
            if let Err(error) = result {
                errors.lock().unwrap_or_else(PoisonError::into_inner).insert(index, error);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread::current;

    use super::*;

    #[test]
    fn without_a_spare_core_tasks_run_at_once_on_the_calling_thread() {
        let here = current().id();
        let order = Mutex::new(Vec::new());
        let result: Result<(), &str> = SpareCores::new(0).scope(|tasks| {
            tasks.run(|| {
                assert_eq!(current().id(), here);
                order.lock().unwrap().push("task");
                Ok(())
            })?;
            order.lock().unwrap().push("work");
            tasks.run(|| Err("stops here"))?;
            order.lock().unwrap().push("never");
            Ok(())
        });
        assert_eq!((result, order.into_inner().unwrap()), (Err("stops here"), vec!["task", "work"]));
    }

    #[test]
    fn a_spare_core_runs_one_task_at_a_time_and_is_given_back() {
        let cores = SpareCores::new(1);
        for _ in 0..3 {
            let here = current().id();
            let joined: Result<_, ()> = cores.join(|| Ok(current().id()), || Ok(current().id()));
            let (first, second) = joined.unwrap();
            assert!(first != here && second == here);
        }
    }

    #[test]
    fn the_error_of_the_first_task_comes_before_that_of_the_work() {
        let cores = SpareCores::new(2);
        let result: Result<(), &str> = cores.scope(|tasks| {
            tasks.run(|| Err("first"))?;
            tasks.run(|| Err("second"))?;
            Err("work")
        });
        assert_eq!(result, Err("first"));
    }
}
