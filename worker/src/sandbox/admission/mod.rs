//! Admission: a picture is rendered once the memory that it needs is free.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the permits |
//! | [`estimate`] | how much memory a picture needs, from its header |
//! | [`available_memory`] | the memory of the machine or the container |
//! | `cgroup.rs` | the memory limit of the control group |
//!
//! Every picture has its estimate as a hard limit. A *small* picture is admitted at once: a quarter of the budget is
//! reserved for as many small pictures as are rendered at once. A *large* picture waits until its memory is free in the
//! rest of the budget; at most half of the places are for large pictures, waiting or rendered, so that small ones
//! always find a place. So the pictures never take more than the budget.

pub mod available_memory;
mod cgroup;
pub mod estimate;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes per permit of the memory semaphore, which cannot count single bytes.
const UNIT: u64 = 1 << 20;

/// The memory for pictures.
#[derive(Debug)]
pub struct Admission {
    /// Maximum memory of a small picture, in bytes.
    small: u64,
    /// Memory of all large pictures, in bytes.
    large: u64,
    /// Memory of the large pictures, in [`UNIT`]s.
    memory: Semaphore,
    /// Places of the large pictures.
    places: Semaphore,
}

/// The memory of one picture; given back when dropped.
#[derive(Debug)]
pub struct MemoryPermit<'a> {
    /// `None`: a small picture.
    _permits: Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)>,
}

/// Why a picture was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The picture needs more memory than one picture can have.
    #[error("rendering it needs {needed} bytes of memory, and a picture can have {available}")]
    TooLarge {
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
    /// Other large pictures have all places.
    #[error("other large pictures have all places")]
    Busy,
}

impl Admission {
    /// `budget` bytes for at most `places` pictures at once.
    pub fn new(budget: u64, places: usize) -> Self {
        let small = budget / 4 / places.max(1) as u64;
        let large = budget - small * places.max(1) as u64;
        let units = usize::try_from(large / UNIT).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        let places = Semaphore::new((places / 2).max(1));
        Self { small, large, memory: Semaphore::new(units), places }
    }

    /// Maximum memory of one picture, in bytes.
    pub fn max_per_picture(&self) -> u64 {
        self.large / UNIT * UNIT
    }

    /// How many of `max` spare cores a picture can use and still be small. Spare cores only save time, so no picture
    /// waits for their memory. `needed` is the picture's memory in bytes with a number of spare cores.
    pub fn spare_cores(&self, max: u32, needed: impl Fn(u32) -> u64) -> u32 {
        (1..=max).rev().find(|cores| needed(*cores) <= self.small).unwrap_or(0)
    }

    /// Waits until `needed` bytes are free. Does not wait for a place.
    pub async fn acquire(&self, needed: u64) -> Result<MemoryPermit<'_>, AdmissionError> {
        if needed <= self.small {
            return Ok(MemoryPermit { _permits: None });
        }
        if needed > self.max_per_picture() {
            return Err(AdmissionError::TooLarge { needed, available: self.max_per_picture() });
        }
        let place = self.places.try_acquire().map_err(|_| AdmissionError::Busy)?;
        let units = u32::try_from(needed.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // Never closed. Fair: permits are given in the order of the calls.
        let memory = self.memory.acquire_many(units).await.map_err(|_| AdmissionError::Busy)?;
        Ok(MemoryPermit { _permits: Some((place, memory)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_pictures_leave_memory_to_small_ones() {
        let admission = Admission::new(4000 * UNIT, 4);
        let first = admission.acquire(3000 * UNIT).await.unwrap();
        let second = admission.acquire(300 * UNIT);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending(), "a place is free, but no memory");
        assert_eq!(
            admission.acquire(300 * UNIT).await.err(),
            Some(AdmissionError::Busy),
            "large pictures have half of the places"
        );
        let small: Vec<_> = futures::future::join_all((0..4).map(|_| admission.acquire(250 * UNIT))).await;
        assert!(small.iter().all(Result::is_ok));
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn a_picture_that_can_never_fit_is_refused() {
        let admission = Admission::new(4000 * UNIT, 4);
        let refused = admission.acquire(3001 * UNIT).await.err();
        assert_eq!(refused, Some(AdmissionError::TooLarge { needed: 3001 * UNIT, available: 3000 * UNIT }));
        assert!(admission.acquire(3000 * UNIT).await.is_ok());
    }
}
