//! Settings of the worker alone.

use std::time::Duration;

use super::{
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    WORKER_CONCURRENCY = Setting::with_default("0", "Maximum images that a worker renders at once; 0: as many as it has cores.");
    RENDER_SECONDS = Setting::with_default("60", "Maximum time to decode, resize and encode one image.");
    RENDER_MEMORY_BYTES = Setting::with_default("0", "Memory for all images that a worker renders at once, 268435456 or more; 0: three quarters of the memory of the machine or the container.");
    RENDER_CHILD_IMAGES = Setting::with_default("100", "Number of images after which a render process is replaced, 1 to 1000000.");
    TOO_LARGE_SECONDS = Setting::with_default("120", "How long a picture that needs more memory than any live worker has waits for a larger worker, before it fails as too_large, 0 to 86400.");
    SANDBOX = Setting::with_default("prefer", "require: the worker stops if the system does not confine render processes by seccomp; prefer: it warns.");
    ORPHAN_SECONDS = Setting::with_default("86400", "Age at which the sweep removes a staged file that no image needs, or an object that an attempt has left, 3600 or more.");
    SWEEP_MAX_PERCENT = Setting::with_default("5", "Maximum share of the files or objects it looked at that a sweep or `darkroom-worker compare --remove` removes, 1 to 100. With more orphans it removes none and fails.");
    SWEEP_MAX_ORPHANS = Setting::with_default("1000", "Number of orphans that either of them removes whatever their share.");
}

/// How the worker runs.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Maximum images that are rendered at once.
    pub concurrency: usize,
    /// Maximum time to render one image.
    pub render: Duration,
    /// Memory for all images that are rendered at once, in bytes; `None`: three quarters of the machine's.
    pub render_memory: Option<u64>,
    /// Number of images after which a render process is replaced.
    pub child_images: u32,
    /// Refuse to render where the system does not confine render processes.
    pub require_sandbox: bool,
    /// How long running jobs may continue after SIGTERM.
    pub drain: Duration,
    /// How long a picture waits for a worker with more memory.
    pub too_large: Duration,
    /// Age at which an orphan is removed.
    pub orphan: Duration,
    /// What a sweep or a comparison may remove.
    pub sweep: SweepLimits,
}

/// What one sweep, or a part of a comparison, may remove: the greater of the two.
#[derive(Debug, Clone, Copy)]
pub struct SweepLimits {
    /// In percent of what it looked at.
    pub percent: u64,
    /// Number of files or objects.
    pub orphans: u64,
}

impl WorkerSettings {
    /// `drain` is read once for both processes.
    pub(super) fn read(reader: &mut Reader<'_>, drain: Option<Duration>) -> Option<Self> {
        let concurrency = reader.number(&WORKER_CONCURRENCY, 0, 1024).map(|images: usize| match images {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        });
        let render = reader.seconds(&RENDER_SECONDS, 1, 3600);
        let render_memory = reader.required(&RENDER_MEMORY_BYTES, |text| match text.parse::<u64>() {
            Ok(0) => Ok(None),
            // A photograph needs 256 MiB.
            Ok(bytes) if bytes >= 256 << 20 => Ok(Some(bytes)),
            _ => Err("0, or a whole number from 268435456".to_owned()),
        });
        let child_images = reader.number(&RENDER_CHILD_IMAGES, 1, 1_000_000);
        let too_large = reader.seconds(&TOO_LARGE_SECONDS, 0, 86_400);
        let require_sandbox = reader.required(&SANDBOX, |text| match text {
            "require" => Ok(true),
            "prefer" => Ok(false),
            _ => Err("require or prefer".to_owned()),
        });
        // At least an hour, so that a slow upload and a long job never count as orphans.
        let orphan = reader.seconds(&ORPHAN_SECONDS, 3600, 31_536_000);
        let percent = reader.number(&SWEEP_MAX_PERCENT, 1, 100);
        let orphans = reader.number(&SWEEP_MAX_ORPHANS, 0, 1_000_000_000);
        Some(Self {
            concurrency: concurrency?,
            render: render?,
            render_memory: render_memory?,
            child_images: child_images?,
            require_sandbox: require_sandbox?,
            drain: drain?,
            too_large: too_large?,
            orphan: orphan?,
            sweep: SweepLimits { percent: percent?, orphans: orphans? },
        })
    }
}
