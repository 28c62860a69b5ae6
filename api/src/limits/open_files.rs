//! Maximum numbers of connections and requests, by the limit of open files (`RLIMIT_NOFILE`).

use darkroom_shared::settings::ApiLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{ConnectionLimits, http::server::RESERVED_CONNECTIONS};

/// Open files besides those of clients: connections to Postgres and S3, probes, the listeners, the runtime's own.
const OTHER_FILES: usize = 96;
/// Maximum number of connections by default. Each takes about 20 kB.
const MAX_CONNECTIONS: usize = 4096;
/// Maximum number of requests in flight by default. An upload takes about 200 kB.
const MAX_REQUESTS: usize = 512;

/// Raises this process's limit of open files as far as it may, and returns it.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}

/// The limits by the settings, and where these say nothing, by the number of files that the process may open: a connection takes
/// one, and an upload another for its draft.
pub fn connections(settings: &ApiLimits, open_files: usize) -> ConnectionLimits {
    let files = open_files.saturating_sub(OTHER_FILES + RESERVED_CONNECTIONS).max(24);
    let connections = settings.connections.unwrap_or_else(|| MAX_CONNECTIONS.min(files / 3 * 2));
    let requests = settings.requests.unwrap_or_else(|| MAX_REQUESTS.min(connections.div_ceil(2)));
    let limits = ConnectionLimits { connections, requests };
    if connections.saturating_add(requests) > files {
        tracing::warn!(
            "MAX_CONNECTIONS and MAX_REQUESTS need {} open files, and the limit is {open_files}",
            connections.saturating_add(requests) + OTHER_FILES + RESERVED_CONNECTIONS
        );
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(connections: Option<usize>, requests: Option<usize>) -> ApiLimits {
        ApiLimits {
            staging: darkroom_shared::settings::StagingLimits::default(),
            health_bind: None,
            connections,
            requests,
            min_bytes_per_second: 0,
            pending_images: None,
        }
    }

    #[test]
    fn connections_and_drafts_fit_into_the_open_files() {
        for open_files in [256, 1024, 4096, 20_000, usize::MAX] {
            let ConnectionLimits { connections, requests } = super::connections(&settings(None, None), open_files);
            assert!(connections + requests + OTHER_FILES + RESERVED_CONNECTIONS <= open_files, "{open_files}");
            assert!(connections >= 16 && requests >= 8, "{open_files}");
        }
        let set = super::connections(&settings(Some(7), Some(3)), 1024);
        assert_eq!((set.connections, set.requests), (7, 3));
    }
}
