//! Room for uploads: a limit of the bytes in staging, and a reserve of free disk.
//!
//! Both are measured now and then, never per upload, and what this process has accepted since is added. Other processes count
//! from the next measurement on: together they may exceed a limit by what they accept within it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use tokio::task::{AbortHandle, JoinHandle};

use super::{Staging, StagingError, files::run_blocking};
use crate::settings::StagingLimits;

/// How old a measurement of the free disk may be.
const FREE_AGE: Duration = Duration::from_secs(1);
/// How old a measurement of the bytes in staging may be, at least. It lists staging.
const USED_AGE: Duration = Duration::from_secs(10);
/// The age of a measurement of the bytes in staging as a multiple of the time that it takes: 2 % of the time is spent on it.
const USED_AGE_FACTOR: u32 = 50;
/// How long the first upload waits for a measurement.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);

/// Counts the room for uploads of one process.
#[derive(Debug)]
pub struct StagingRoom {
    staging: Staging,
    limits: StagingLimits,
    counts: Mutex<Counts>,
    /// Held while measuring.
    measuring: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes reserved by uploads that have not ended.
    reserved: u64,
    free: Option<Measured>,
    used: Option<Measured>,
    /// The latest task that measures because a measurement was too old.
    task: Option<AbortHandle>,
}

/// A measurement.
#[derive(Clone, Copy, Debug)]
struct Measured {
    bytes: u64,
    /// Bytes of uploads kept since.
    kept: u64,
    /// When it is too old.
    expires: Instant,
}

/// Room for one upload; dropping it gives the room back.
#[derive(Debug)]
pub struct Reservation {
    room: Arc<StagingRoom>,
    bytes: u64,
}

impl StagingRoom {
    /// Room in this staging.
    pub fn new(staging: Staging, limits: StagingLimits) -> Arc<Self> {
        Arc::new(Self { staging, limits, counts: Mutex::default(), measuring: tokio::sync::Mutex::default() })
    }

    /// Reserves room for an upload of this length.
    ///
    /// # Errors
    /// [`StagingError::Full`] if there is none.
    pub async fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StagingError> {
        self.measure_if_due().await;
        let mut reservation = Reservation { room: Arc::clone(self), bytes: 0 };
        if reservation.grow(bytes).is_err() {
            // The measurement may be from before the last files were removed.
            self.measure_again().await;
            reservation.grow(bytes)?;
        }
        Ok(reservation)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn measure_if_due(self: &Arc<Self>) {
        let (measurement, is_first) = {
            let mut counts = self.counts();
            let now = Instant::now();
            let is_due = |measured: Option<Measured>| measured.is_none_or(|measured| measured.expires <= now);
            let is_due = is_due(counts.free) || self.limits.bytes.is_some() && is_due(counts.used);
            if !is_due || counts.task.as_ref().is_some_and(|task| !task.is_finished()) {
                return;
            }
            let measurement = self.start_measurement();
            counts.task = Some(measurement.abort_handle());
            (measurement, counts.free.is_none())
        };
        if is_first {
            // A disk that does not respond must not hold the upload: its own write will fail or not.
            let _ = tokio::time::timeout(FIRST_TIMEOUT, measurement).await;
        }
    }

    /// Measures now, after any measurement that runs.
    async fn measure_again(self: &Arc<Self>) {
        let _ = tokio::time::timeout(FIRST_TIMEOUT, self.start_measurement()).await;
    }

    fn start_measurement(self: &Arc<Self>) -> JoinHandle<()> {
        let room = Arc::clone(self);
        tokio::spawn(async move { room.measure().await })
    }

    async fn measure(&self) {
        let _measuring = self.measuring.lock().await;
        let drafts: PathBuf = self.staging.drafts.directory();
        let (kept_free, kept_used, is_used_due) = {
            let counts = self.counts();
            let is_used_due = counts.used.is_none_or(|used| used.expires <= Instant::now());
            (kept(counts.free), kept(counts.used), self.limits.bytes.is_some() && is_used_due)
        };
        let free = run_blocking(move || Ok(rustix::fs::statvfs(&drafts)?)).await;
        match free {
            Ok(free) => {
                let bytes = free.f_bavail.saturating_mul(free.f_frsize);
                let mut counts = self.counts();
                let kept = kept(counts.free) - kept_free;
                counts.free = Some(Measured { bytes, kept, expires: Instant::now() + FREE_AGE });
            }
            Err(error) => tracing::warn!("cannot measure the free disk of staging: {error}"),
        }
        if is_used_due {
            let start = Instant::now();
            match self.used().await {
                Ok(bytes) => {
                    let age = USED_AGE.max(start.elapsed() * USED_AGE_FACTOR);
                    let mut counts = self.counts();
                    let kept = kept(counts.used) - kept_used;
                    counts.used = Some(Measured { bytes, kept, expires: Instant::now() + age });
                }
                Err(error) => tracing::warn!("cannot measure the bytes in staging: {error}"),
            }
        }
    }

    async fn used(&self) -> Result<u64, StagingError> {
        let kept = self.staging.list().await?.try_filter(|staged| futures::future::ready(staged.image.is_some()));
        kept.try_fold(0, |sum, staged| futures::future::ok(sum + staged.bytes)).await
    }
}

fn kept(measured: Option<Measured>) -> u64 {
    measured.map_or(0, |measured| measured.kept)
}

impl Counts {
    /// Why there is no room for so many more bytes; `None` if there is.
    fn refusal(&self, more: u64, limits: &StagingLimits) -> Option<String> {
        let more = self.reserved.saturating_add(more);
        if let Some(free) = self.free
            && free.bytes.saturating_sub(free.kept) < more.saturating_add(limits.reserve)
        {
            return Some(format!("{} bytes are free, and {} of them are reserved", free.bytes, limits.reserve));
        }
        if let (Some(used), Some(max)) = (self.used, limits.bytes)
            && used.bytes.saturating_add(used.kept).saturating_add(more) > max
        {
            return Some(format!("{} of {max} bytes are taken", used.bytes + used.kept));
        }
        None
    }
}

impl Reservation {
    /// Raises the reservation to at least this many bytes.
    ///
    /// # Errors
    /// [`StagingError::Full`] if there is no room; the reservation stays as it was.
    pub fn grow(&mut self, bytes: u64) -> Result<(), StagingError> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 && self.bytes > 0 {
            return Ok(());
        }
        let mut counts = self.room.counts();
        if let Some(reason) = counts.refusal(more, &self.room.limits) {
            return Err(StagingError::Full { reason });
        }
        counts.reserved += more;
        self.bytes += more;
        Ok(())
    }

    /// The upload is kept, with this length.
    pub fn keep(self, bytes: u64) {
        let mut counts = self.room.counts();
        let Counts { free, used, .. } = &mut *counts;
        for measured in [free, used].into_iter().flatten() {
            measured.kept += bytes;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.counts().reserved -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(free: u64, used: u64) -> Counts {
        let measured = |bytes| Some(Measured { bytes, kept: 0, expires: Instant::now() });
        Counts { free: measured(free), used: measured(used), ..Counts::default() }
    }

    #[test]
    fn uploads_leave_the_reserve_and_stay_under_the_limit() {
        let limits = StagingLimits { bytes: Some(100), reserve: 10 };
        assert_eq!(counts(50, 0).refusal(40, &limits), None);
        assert!(counts(50, 0).refusal(41, &limits).is_some());
        assert_eq!(counts(1000, 60).refusal(40, &limits), None);
        assert!(counts(1000, 60).refusal(41, &limits).is_some());
        assert_eq!(counts(1000, 60).refusal(41, &StagingLimits { bytes: None, reserve: 10 }), None);
        assert_eq!(Counts::default().refusal(u64::MAX, &limits), None, "without a measurement nothing is refused");
    }
}
