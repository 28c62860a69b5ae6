//! The headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) of a response.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use poem::{
    Request,
    http::{HeaderMap, HeaderName, HeaderValue},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A quota and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// The name of the policy.
    pub(super) name: &'static str,
    /// The unit, if it is not a request (section 3.1.2 of the draft).
    pub(super) unit: Option<&'static str>,
    /// Units in a window.
    pub(super) units: u64,
    /// The window.
    pub(super) window: Duration,
    /// Units that are left.
    pub(super) remaining: u64,
    /// When there will be more.
    pub(super) more_in: Duration,
}

/// The quotas that a request has met so far. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas(Arc<Mutex<Vec<Quota>>>);

impl Quotas {
    /// Those of a request, to be filled while it is handled.
    pub(crate) fn attach(request: &mut Request) -> Self {
        let quotas = Self::default();
        request.extensions_mut().insert(quotas.clone());
        quotas
    }

    /// Those of a request; others, which no response shows, if none were attached.
    pub(crate) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    pub(super) fn add(&self, quota: Quota) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(quota);
    }

    /// Adds the headers, if there is a quota.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let quotas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if quotas.is_empty() {
            return;
        }
        let list = |item: fn(&Quota) -> String| quotas.iter().map(item).collect::<Vec<_>>().join(", ");
        for (name, value) in [(POLICY, list(Quota::policy)), (LIMIT, list(Quota::limit))] {
            headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
        }
    }
}

impl Quota {
    fn policy(&self) -> String {
        let unit = self.unit.map(|unit| format!(";qu=\"{unit}\"")).unwrap_or_default();
        format!("\"{}\";q={}{unit};w={}", self.name, self.units, self.window.as_secs())
    }

    fn limit(&self) -> String {
        format!("\"{}\";r={};t={}", self.name, self.remaining, whole_seconds(self.more_in))
    }
}

/// At least so many seconds, and at least one.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_lists_of_structured_fields() {
        let quotas = Quotas::default();
        let mut headers = HeaderMap::new();
        quotas.write(&mut headers);
        assert!(headers.is_empty());
        let window = Duration::from_secs(10);
        let requests = Quota {
            name: "requests",
            unit: None,
            units: 100,
            window,
            remaining: 7,
            more_in: Duration::from_millis(1200),
        };
        quotas.add(requests);
        quotas.add(Quota { name: "bytes", unit: Some("content-bytes"), more_in: Duration::ZERO, ..requests });
        quotas.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], r#""requests";q=100;w=10, "bytes";q=100;qu="content-bytes";w=10"#);
        assert_eq!(headers["ratelimit"], r#""requests";r=7;t=2, "bytes";r=7;t=1"#);
    }
}
