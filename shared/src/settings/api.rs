//! Settings of the api alone.

use std::{net::SocketAddr, time::Duration};

use super::{
    api_limits::ApiLimits,
    parse::parse,
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    BIND = Setting::with_default("127.0.0.1:8000", "Address and port on which the api listens.");
}

/// How the api runs.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The address on which it listens.
    pub bind: SocketAddr,
    /// Limits beyond which it refuses.
    pub limits: ApiLimits,
    /// How long running requests may continue after SIGTERM.
    pub drain: Duration,
}

impl ApiSettings {
    /// `drain` is read once for both processes.
    pub(super) fn read(reader: &mut Reader<'_>, drain: Option<Duration>) -> Option<Self> {
        let bind = reader.required(&BIND, parse::<SocketAddr>("an address and port such as 127.0.0.1:8000"));
        let limits = ApiLimits::read(reader);
        Some(Self { bind: bind?, limits: limits?, drain: drain? })
    }
}
