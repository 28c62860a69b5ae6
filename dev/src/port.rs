//! Free ports, for servers that are stopped and started again.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};
use rand::RngExt as _;

/// Below the ephemeral ports (Linux: 32768 and up; RFC 6335: 49152 and up). A server that restarts could otherwise lose
/// its port to an outgoing connection, and a client that reconnects to it could connect to itself.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 on which no process listens at the moment.
pub fn free() -> Result<u16> {
    for _ in 0..200 {
        let port = rand::rng().random_range(RANGE);
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", RANGE.start, RANGE.end)
}

/// Whether a server could listen on this port of 127.0.0.1 now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
