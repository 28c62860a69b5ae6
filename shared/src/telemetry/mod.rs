//! Logs: one line an event, to standard error.

mod error_chain;

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

pub use error_chain::error_chain;

use crate::settings::{LogFormat, LogSettings};

/// Starts logging. A second call in the same process changes nothing.
pub fn start(log: &LogSettings) {
    // The settings checked that the filter is valid.
    let filter = EnvFilter::new(&log.filter);
    let registry = tracing_subscriber::registry().with(filter);
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours);
    let _ = match log.format {
        LogFormat::Text => registry.with(lines.compact()).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}
