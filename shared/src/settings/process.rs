//! Settings of both processes, api and worker: logs and the grace period at their end.

use std::time::Duration;

use darkroom_model::string_enum;

use super::{
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    DRAIN_SECONDS = Setting::with_default("30", "How long running requests and jobs may continue after SIGTERM.");
    LOG = Setting::with_default("info", "Filter of the log, in the syntax of tracing-subscriber's EnvFilter: info, or darkroom_worker=debug,warn.");
    LOG_FORMAT = Setting::with_default("text", "Format of the log: text for people, json for log collectors.");
}

/// How the process logs.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A valid `EnvFilter`.
    pub filter: String,
    /// Format of the lines.
    pub format: LogFormat,
}

string_enum! {
    /// Format of log lines.
    LogFormat, "log format" {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// How long running requests and jobs may continue after SIGTERM.
pub(super) fn read_drain(reader: &mut Reader<'_>) -> Option<Duration> {
    reader.seconds(&DRAIN_SECONDS, 0, 3600)
}

impl LogSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let filter = reader.required(&LOG, |text| match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("a filter such as info or darkroom_worker=debug,warn".to_owned()),
        });
        let format = reader.required(&LOG_FORMAT, |text| {
            let expected = || LogFormat::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(" or ");
            text.parse().map_err(|_| expected())
        });
        Some(Self { filter: filter?, format: format? })
    }
}
