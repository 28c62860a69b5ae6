//! Settings: the limits beyond which the api refuses connections, requests and uploads.

use std::net::SocketAddr;

use super::{
    parse::{non_zero, parse},
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    STAGING_MAX_BYTES = Setting::with_default("0", "Maximum bytes of uploads that wait in staging; above it uploads are refused with 503; 0: no limit.");
    STAGING_RESERVE_BYTES = Setting::with_default("67108864", "Free bytes that uploads leave on the disk of staging, or of the drafts if staging is a bucket; otherwise they are refused with 503.");
    HEALTH_BIND = Setting::new("Address and port of a second listener of the api, which serves only /healthz and /readyz.");
    MAX_CONNECTIONS = Setting::with_default("0", "Maximum open connections of the api, besides 64 for probes; 0: by the limit of open files, at most 4096.");
    MAX_REQUESTS = Setting::with_default("0", "Maximum requests in flight of the api, slow uploads included and probes not; 0: half of MAX_CONNECTIONS, at most 512.");
    MIN_BYTES_PER_SECOND = Setting::with_default("1024", "Minimum rate at which a client sends a request or takes a response, after the first 30 seconds; 0: none.");
    MAX_PENDING_IMAGES = Setting::with_default("1000000", "Maximum images that wait to be rendered; above it uploads are refused with 503; 0: no limit.");
}

/// What the api takes on. Beyond each limit it answers with a problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiLimits {
    /// Room for uploads.
    pub staging: StagingLimits,
    /// The address of a listener that serves only probes.
    pub health_bind: Option<SocketAddr>,
    /// Open connections; `None`: by the limit of open files.
    pub connections: Option<usize>,
    /// Requests in flight; `None`: by the number of connections.
    pub requests: Option<usize>,
    /// The minimum rate of a client, in bytes per second; 0: none.
    pub min_bytes_per_second: u32,
    /// Images that wait to be rendered; `None`: no limit.
    pub pending_images: Option<u64>,
}

impl ApiLimits {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let staging_bytes = reader.number(&STAGING_MAX_BYTES, 0, 1 << 50);
        let staging_reserve = reader.number(&STAGING_RESERVE_BYTES, 0, 1 << 50);
        let health_bind =
            reader.optional(&HEALTH_BIND, parse::<SocketAddr>("an address and port such as 127.0.0.1:8001"));
        let connections = reader.number(&MAX_CONNECTIONS, 0, 1_000_000);
        let requests = reader.number(&MAX_REQUESTS, 0, 1_000_000);
        let min_bytes_per_second = reader.number(&MIN_BYTES_PER_SECOND, 0, 1 << 20);
        let pending_images = reader.number(&MAX_PENDING_IMAGES, 0, 1_000_000_000);
        Some(Self {
            staging: StagingLimits { bytes: non_zero(staging_bytes?), reserve: staging_reserve? },
            health_bind,
            connections: non_zero(connections?),
            requests: non_zero(requests?),
            min_bytes_per_second: min_bytes_per_second?,
            pending_images: non_zero(pending_images?),
        })
    }
}

/// Room for uploads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StagingLimits {
    /// Maximum bytes of uploads in staging; `None`: no limit.
    pub bytes: Option<u64>,
    /// Free bytes that uploads leave on the disk.
    pub reserve: u64,
}
