//! Reads settings, checks them, and collects every error.

use std::{fmt, str::FromStr, time::Duration};

use super::setting::Setting;

/// Reads settings from `lookup`. A setting that is missing or invalid adds to `errors` and reads as `None`, so that one
/// start reports every error.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, errors: Vec::new() }
    }

    /// Adds an error that concerns several settings.
    pub(super) fn error(&mut self, error: &str) {
        self.errors.push(error.to_owned());
    }

    /// Every error so far, one line each.
    pub(super) fn into_errors(self) -> Vec<String> {
        self.errors
    }

    /// The text of a setting: of its variable, of its first alias that is set, or its default.
    pub(super) fn text(&self, setting: &Setting) -> Option<String> {
        std::iter::once(&setting.name)
            .chain(setting.aliases)
            .find_map(|name| (self.lookup)(name).filter(|value| !value.trim().is_empty()))
            .or_else(|| setting.default.map(str::to_owned))
    }

    /// A setting that may be absent. `parse` returns what was expected as its error.
    pub(super) fn optional<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.text(setting)?.trim()) {
            Ok(value) => Some(value),
            Err(expected) => {
                // The value is not repeated: it may be a secret in the wrong variable.
                self.errors.push(format!("{} must be {expected}", setting.name));
                None
            }
        }
    }

    /// A setting that must be set or have a default.
    pub(super) fn required<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.text(setting).is_none() {
            self.errors.push(format!("{} is not set. {}", setting.name, setting.help));
        }
        self.optional(setting, parse)
    }

    /// A whole number from `min` to `max`, both included.
    pub(super) fn number<T>(&mut self, setting: &Setting, min: T, max: T) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        self.required(setting, |text| match text.parse::<T>() {
            Ok(value) if value >= min && value <= max => Ok(value),
            _ => Err(format!("a whole number from {min} to {max}")),
        })
    }

    /// A whole number of seconds from `min` to `max`, both included.
    pub(super) fn seconds(&mut self, setting: &Setting, min: u64, max: u64) -> Option<Duration> {
        self.number(setting, min, max).map(Duration::from_secs)
    }
}
