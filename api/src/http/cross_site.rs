//! Requests that pages of other sites send. A browser sends a form to any site without asking it first (no CORS preflight), so
//! where no key is needed, a page could upload with the network access of its visitor.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site` (W3C Fetch Metadata), older ones in `Origin` (RFC 6454).
//! Other clients send neither, and are not affected.

use poem::{
    Request,
    http::{Method, header},
};

/// Origins besides the service's own, such as `https://app.example`, whose pages may use the api.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// `*` allows all origins.
    pub(crate) fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// Whether pages of every site are allowed.
    pub(super) fn allows_all(&self) -> bool {
        self.0.iter().any(|allowed| allowed == "*")
    }

    /// Whether this origin is on the list.
    pub(super) fn lists(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed == origin)
    }

    /// Whether the request may be served: it changes nothing, or does not come from a page of another site.
    pub(crate) fn allow(&self, request: &Request) -> bool {
        if [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(request.method()) {
            return true;
        }
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("invalid"));
        let origin = header(header::ORIGIN.as_str());
        if self.allows_all() || origin.is_some_and(|origin| self.lists(origin)) {
            return true;
        }
        match (header("sec-fetch-site"), origin) {
            // `none`: the user's own action, such as a bookmark.
            (Some(site), _) => matches!(site, "same-origin" | "none"),
            (None, Some(origin)) => {
                let host = header(header::HOST.as_str()).unwrap_or_default();
                origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
            }
            (None, None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origins: &[&str], method: Method, headers: &[(&str, &str)]) -> bool {
        let origins = AllowedOrigins::new(origins.iter().map(|origin| (*origin).to_owned()).collect());
        let request = headers
            .iter()
            .fold(Request::builder().method(method), |request, (name, value)| request.header(*name, *value));
        origins.allow(&request.finish())
    }

    #[test]
    fn only_pages_of_other_sites_are_refused() {
        for (headers, expected) in [
            (vec![("host", "a.example")], true),
            (vec![("host", "a.example"), ("sec-fetch-site", "same-origin")], true),
            (vec![("host", "a.example"), ("sec-fetch-site", "none")], true),
            (vec![("host", "a.example"), ("sec-fetch-site", "cross-site")], false),
            (vec![("host", "a.example"), ("sec-fetch-site", "same-site")], false),
            (vec![("host", "a.example"), ("origin", "https://a.example")], true),
            (vec![("host", "a.example:8000"), ("origin", "http://a.example:8000")], true),
            (vec![("host", "a.example:8000"), ("origin", "http://a.example")], false),
            (vec![("host", "a.example"), ("origin", "https://b.example")], false),
            (vec![("host", "a.example"), ("origin", "null")], false),
            // A proxy may have changed the host.
            (vec![("host", "api:8000"), ("origin", "https://a.example"), ("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(allows(&[], Method::POST, &headers), expected, "{headers:?}");
            assert_eq!(allows(&[], Method::DELETE, &headers), expected, "{headers:?}");
            assert!(allows(&[], Method::GET, &headers), "{headers:?}");
            assert!(allows(&["*"], Method::POST, &headers), "{headers:?}");
        }
    }

    #[test]
    fn listed_origins_are_allowed() {
        let from = |origin| [("host", "a.example"), ("origin", origin), ("sec-fetch-site", "cross-site")];
        assert!(allows(&["https://b.example"], Method::POST, &from("https://b.example")));
        assert!(!allows(&["https://b.example"], Method::POST, &from("https://c.example")));
    }
}
