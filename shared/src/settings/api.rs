//! Settings of the api alone.

use std::{net::SocketAddr, time::Duration};

use super::{
    access::AccessSettings,
    api_limits::ApiLimits,
    parse::parse,
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    DRAIN_DELAY_SECONDS = Setting::with_default("0", "How long the api accepts requests after SIGTERM while /readyz says 503, so that load balancers notice first, 0 to 300. Before DRAIN_SECONDS.");
    BIND = Setting::with_default("127.0.0.1:8000", "Address and port on which the api listens.");
}

/// How the api runs.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The address on which it listens.
    pub bind: SocketAddr,
    /// Who may use it.
    pub access: AccessSettings,
    /// Limits beyond which it refuses.
    pub limits: ApiLimits,
    /// How long it accepts requests after SIGTERM while it is not ready.
    pub drain_delay: Duration,
    /// How long running requests may continue after SIGTERM.
    pub drain: Duration,
}

impl ApiSettings {
    /// `drain` is read once for both processes.
    pub(super) fn read(reader: &mut Reader<'_>, drain: Option<Duration>) -> Option<Self> {
        let bind = reader.required(&BIND, parse::<SocketAddr>("an address and port such as 127.0.0.1:8000"));
        let access = AccessSettings::read(reader);
        let limits = ApiLimits::read(reader);
        let drain_delay = reader.seconds(&DRAIN_DELAY_SECONDS, 0, 300);
        Some(Self { bind: bind?, access: access?, limits: limits?, drain_delay: drain_delay?, drain: drain? })
    }
}
