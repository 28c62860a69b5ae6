//! Work on other threads where cores would idle.

use std::{
    cell::RefCell,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, Builder, Scope, ScopedJoinHandle},
};

/// Cores besides the one that renders the picture.
#[derive(Debug)]
pub(crate) struct SpareCores(AtomicU32);

/// Starts tasks within [`SpareCores::scope`].
pub(crate) struct Tasks<'scope, 'env, E> {
    cores: &'env SpareCores,
    scope: &'scope Scope<'scope, 'env>,
    threads: RefCell<Vec<ScopedJoinHandle<'scope, Result<(), E>>>>,
}

impl SpareCores {
    pub(crate) fn new(count: u32) -> Self {
        Self(AtomicU32::new(count))
    }

    /// Calls `work`, which may start tasks, and waits for all of them. Returns the error of the first task that failed, else
    /// what `work` returns.
    pub(crate) fn scope<'env, T, E: Send>(
        &'env self,
        work: impl for<'scope> FnOnce(&Tasks<'scope, 'env, E>) -> Result<T, E>,
    ) -> Result<T, E> {
        thread::scope(|scope| {
            let tasks = Tasks { cores: self, scope, threads: RefCell::default() };
            let result = work(&tasks);
            let join = |thread: ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            // All are joined, so that a later panic is not lost behind an earlier error.
            let results: Vec<Result<(), E>> = tasks.threads.into_inner().into_iter().map(join).collect();
            results.into_iter().collect::<Result<(), E>>()?;
            result
        })
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
    pub(crate) fn run(&self, task: impl FnOnce() -> Result<(), E> + Send + 'scope) -> Result<(), E>
    where
        E: 'scope,
    {
        let cores = self.cores;
        if cores.0.fetch_update(Relaxed, Relaxed, |spare| spare.checked_sub(1)).is_err() {
            return task();
        }
        // Shared, so that it is still here where the system cannot start a thread.
        let task = Arc::new(Mutex::new(Some(task)));
        let take = |task: &Mutex<Option<_>>| task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = Arc::clone(&task);
        let thread = Builder::new().spawn_scoped(self.scope, move || {
            let result = take(&theirs).map_or(Ok(()), |task| task());
            cores.0.fetch_add(1, Relaxed);
            result
        });
        if let Ok(thread) = thread {
            self.threads.borrow_mut().push(thread);
            return Ok(());
        }
        let result = take(&task).map_or(Ok(()), |task| task());
        cores.0.fetch_add(1, Relaxed);
        result
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
