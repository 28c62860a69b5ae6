//! Settings: who may use the api.

use std::time::Duration;

use darkroom_model::string_enum;
use url::Url;

use super::{
    reader::Reader,
    setting::{Setting, declare_settings},
};

declare_settings! {
    AUTH = Setting::with_default("on", "Whether requests need an API key. on: yes, once there is one; before, only a loopback address is served, without keys, and with another BIND the api does not start. off: everyone who reaches the api may do everything.");
    ALLOWED_ORIGINS = Setting::new("Origins that may send cross-origin requests to the api (CORS), such as https://app.example, separated by commas; *: all. Their requests need an API key, as all do.");
    AUDIT_DAYS = Setting::with_default("365", "How long the audit log is kept, in days, 1 to 3650.");
}

string_enum! {
    /// Whether requests need an API key.
    AuthMode, "mode of authentication" {
        /// Once there is one.
        On = "on",
        /// No.
        Off = "off",
    }
}

/// Who may use the api.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSettings {
    /// Whether requests need an API key.
    pub auth: AuthMode,
    /// Origins that may send cross-origin requests (CORS); `*`: all.
    pub origins: Vec<String>,
    /// How long the audit log is kept.
    pub audit: Duration,
}

impl AccessSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let auth = reader.required(&AUTH, |text| text.parse().map_err(|_| "on or off".to_owned()));
        let origins = reader.optional(&ALLOWED_ORIGINS, origins);
        let audit = reader.number(&AUDIT_DAYS, 1, 3650);
        Some(Self { auth: auth?, origins: origins.unwrap_or_default(), audit: Duration::from_hours(24 * audit?) })
    }
}

/// Origins separated by commas, or `*`.
fn origins(text: &str) -> Result<Vec<String>, String> {
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
