//! When the database last failed.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time since the last database error of the tasks that keep and judge leases.
#[derive(Debug)]
pub(crate) struct DatabaseHealth {
    healthy_since: Mutex<Instant>,
}

impl DatabaseHealth {
    pub(crate) fn new() -> Self {
        Self { healthy_since: Mutex::new(Instant::now()) }
    }

    pub(crate) fn failed(&self) {
        self.set_healthy_since(Instant::now());
    }

    pub(crate) fn set_healthy_since(&self, since: Instant) {
        *self.healthy_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// How long there was no error.
    pub(crate) fn healthy_for(&self) -> Duration {
        self.healthy_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
