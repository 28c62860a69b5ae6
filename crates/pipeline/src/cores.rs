//! SimdKernel side by side, where cores would idle.

use std::{
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, Builder},
};

/// Cores beside the one that a picture always has.
#[derive(Debug)]
pub(crate) struct SpareCores(AtomicU32);

impl SpareCores {
    pub(crate) fn new(count: u32) -> Self {
        Self(AtomicU32::new(count))
    }

    /// Does `aside` on a spare core while it does `here`, and waits for both. Where no core is spare, it does `aside` and,
    /// if that does not fail, `here`.
    pub(crate) fn both<A: Send, H, E: Send>(
        &self,
        aside: impl FnOnce() -> Result<A, E> + Send,
        here: impl FnOnce() -> Result<H, E>,
    ) -> Result<(A, H), E> {
        if self.0.fetch_update(Relaxed, Relaxed, |spare| spare.checked_sub(1)).is_err() {
            return Ok((aside()?, here()?));
        }
        let work = || {
            let made = aside();
            self.0.fetch_add(1, Relaxed);
            made
        };
        // It is left here where the system has no thread for it.
        let work = Mutex::new(Some(work));
        let start = || work.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread::scope(|scope| {
            let thread = Builder::new().spawn_scoped(scope, || start().map(|work| work()));
            let here = here();
            let made = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => start().map(|work| work()),
            };
            let made = made.unwrap_or_else(|| unreachable!("a thread has done it, or this one"));
            Ok((made?, here?))
        })
    }
}
