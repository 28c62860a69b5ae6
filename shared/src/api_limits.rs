//! Settings: what the api takes on before it refuses.

use std::net::SocketAddr;

use url::Url;

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
    /// Origins whose pages may send requests that change something; `*`: all.
    pub allowed_origins: Vec<String>,
}

/// Room for uploads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StagingLimits {
    /// Maximum bytes of uploads in staging; `None`: no limit.
    pub bytes: Option<u64>,
    /// Free bytes that uploads leave on the disk.
    pub reserve: u64,
}

/// Origins separated by commas, or `*`.
pub(crate) fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(str::trim)
        .map(|origin| match Url::parse(origin) {
            _ if origin == "*" => Ok(origin.to_owned()),
            Ok(url)
                if url.origin().is_tuple() && origin.trim_end_matches('/') == url.origin().ascii_serialization() =>
            {
                Ok(url.origin().ascii_serialization())
            }
            _ => Err("origins such as https://app.example, separated by commas".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_a_scheme_and_a_host_and_no_path() {
        let parsed = origins("https://app.example, http://localhost:3000/,*").unwrap();
        assert_eq!(parsed, ["https://app.example", "http://localhost:3000", "*"]);
        for text in ["", "app.example", "https://app.example/path", "https://*.example,", "null"] {
            assert!(origins(text).is_err(), "{text}");
        }
    }
}
