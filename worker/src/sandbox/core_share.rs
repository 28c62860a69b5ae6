//! How many cores a picture may use.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// Divides the machine's cores among the pictures that are rendered.
#[derive(Debug, Default)]
pub(super) struct Cores {
    /// Pictures that hold a [`CoreShare`].
    pictures: AtomicU32,
}

impl Cores {
    pub(super) fn share(&self) -> CoreShare<'_> {
        let pictures = self.pictures.fetch_add(1, Ordering::Relaxed) + 1;
        let cores = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        CoreShare { spare_cores: (cores / pictures).saturating_sub(1), pictures: &self.pictures }
    }
}

/// Equal share of the cores among the pictures that are being rendered when this one starts: a single picture has all
/// cores, and of as many pictures as there are cores each has one. Given back when dropped.
#[derive(Debug)]
pub struct CoreShare<'a> {
    /// Cores besides the picture's first.
    pub spare_cores: u32,
    pictures: &'a AtomicU32,
}

impl Drop for CoreShare<'_> {
    fn drop(&mut self) {
        self.pictures.fetch_sub(1, Ordering::Relaxed);
    }
}
