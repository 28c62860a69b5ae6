//! Settings of the queue.

use std::time::Duration;

use darkroom_queue::{Retention, Thresholds};

use super::{
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    LEASE_SECONDS = Setting::with_default("6", "How long after its last heartbeat a worker counts as alive, 3 to 60; the same in every process.");
    MAX_CRASHES = Setting::with_default("3", "Number of crashes of workers or render processes after which a job is quarantined, 1 to 100.");
    KEEP_DONE_SECONDS = Setting::with_default("604800", "How long finished jobs are kept.");
    KEEP_FAILED_SECONDS = Setting::with_default("2592000", "How long jobs that failed for good are kept, with their errors.");
    KEEP_JOBS = Setting::with_default("1000000", "Maximum job rows; above it the oldest finished are pruned.");
    LATE_SECONDS = Setting::with_default("300", "Warn when a due job has waited, or a transaction has blocked vacuum, longer than this.");
}

/// How the queue runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long after its last heartbeat a worker counts as alive.
    pub lease: Duration,
    /// Number of crashes after which a job is quarantined.
    pub max_crashes: u16,
    /// How long jobs are kept after their end, and how many.
    pub retention: Retention,
    /// When to warn.
    pub thresholds: Thresholds,
}

impl QueueSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const TEN_YEARS: u64 = 10 * 365 * 86_400;
        let lease = reader.seconds(&LEASE_SECONDS, 3, 60);
        let max_crashes = reader.number(&MAX_CRASHES, 1, 100);
        let done = reader.seconds(&KEEP_DONE_SECONDS, 0, TEN_YEARS);
        let killed = reader.seconds(&KEEP_FAILED_SECONDS, 0, TEN_YEARS);
        let jobs = reader.number(&KEEP_JOBS, 1000, 1_000_000_000);
        let late = reader.seconds(&LATE_SECONDS, 1, 86_400);
        let retention = Retention::default().done(done?).killed(killed?).max_jobs(jobs?);
        let thresholds = Thresholds::default().late(late?).horizon(late?);
        Some(Self { lease: lease?, max_crashes: max_crashes?, retention, thresholds })
    }
}
