//! Connections for which even the reserve has no room. Probes wait for it; all else is refused before it costs anything.

use std::{
    io::{ErrorKind, Write as _},
    net::TcpStream,
    sync::LazyLock,
};

use poem_openapi::{payload::Payload as _, types::ToJSON as _};

use super::problem::ProblemPayload;
use crate::error::ApiError;

/// How the requests of probes begin.
const PROBES: [&[u8]; 4] = [b"GET /healthz", b"GET /readyz", b"HEAD /healthz", b"HEAD /readyz"];

/// What has arrived of a connection's first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstBytes {
    /// Nothing yet.
    None,
    /// A probe, or its beginning.
    Probe,
    /// Another request, or the end of the connection.
    Other,
}

impl FirstBytes {
    /// Looks at a non-blocking connection that nothing was read of.
    pub(super) fn peek(stream: &TcpStream) -> Self {
        let mut bytes = [0; 13];
        match stream.peek(&mut bytes) {
            Ok(0) => Self::Other,
            Ok(length) => Self::of(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Self::None,
            Err(_) => Self::Other,
        }
    }

    fn of(bytes: &[u8]) -> Self {
        let begins = |probe: &[u8]| bytes.starts_with(probe) || probe.starts_with(bytes);
        if PROBES.into_iter().any(begins) { Self::Probe } else { Self::Other }
    }
}

/// Responds to a non-blocking connection that there is no room. The client may find the connection reset instead: nothing is
/// read of its request.
pub(super) fn refuse(mut stream: &TcpStream) {
    static RESPONSE: LazyLock<String> = LazyLock::new(|| {
        let body = ApiError::Overloaded.problem().to_json_string();
        let (kind, length) = (ProblemPayload::CONTENT_TYPE, body.len());
        format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {kind}\r\nretry-after: 5\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    });
    // A new connection has room for it.
    let _ = stream.write(RESPONSE.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_told_by_their_first_bytes() {
        for probe in ["GET /healthz HT", "HEAD /readyz H", "GET /readyz?", "G", "GET /h", "HEAD"] {
            assert_eq!(FirstBytes::of(probe.as_bytes()), FirstBytes::Probe, "{probe}");
        }
        for other in ["GET /docs HTTP", "POST /v1/imag", "GET / HTTP/1.1", "get /healthz", "\r\nGET /healt", "\0"] {
            assert_eq!(FirstBytes::of(other.as_bytes()), FirstBytes::Other, "{other}");
        }
    }
}
