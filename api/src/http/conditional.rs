//! Conditional requests (RFC 9110, section 13) on resources with a version.

/// The entity tag of a resource: its version, and what else the response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag {
    /// The version of the resource.
    pub(crate) version: i32,
    /// Changes when URLs in the response have to be renewed; `None`: it has none that expire.
    pub(crate) period: Option<u64>,
}

impl EntityTag {
    /// The value of the header `ETag`.
    pub(crate) fn header(self) -> String {
        match self.period {
            None => format!("\"{}\"", self.version),
            Some(period) => format!("\"{}.{period}\"", self.version),
        }
    }

    /// Whether a client that sends this `If-None-Match` has this response. Weak tags compare like strong ones (RFC 9110,
    /// section 8.8.3.2).
    pub(crate) fn is_known(self, if_none_match: Option<&str>) -> bool {
        let tag = self.header();
        if_none_match.is_some_and(|list| tags(list).any(|known| known == "*" || known.trim_start_matches("W/") == tag))
    }
}

/// Whether `If-Match` allows a change of a resource of this version. Weak tags never match; a tag that this service did not make
/// matches nothing.
pub(crate) fn allows(if_match: Option<&str>, version: i32) -> bool {
    if_match.is_none_or(|list| tags(list).any(|tag| tag == "*" || version_of(tag) == Some(version)))
}

/// The tags of a list. A tag of another service may have a comma in it; its parts match nothing.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

fn version_of(tag: &str) -> Option<i32> {
    let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
    let version = opaque.split_once('.').map_or(opaque, |(version, _)| version);
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_allowed_for_the_version_that_the_client_has() {
        for (if_match, allowed) in [
            (None, true),
            (Some("*"), true),
            (Some("\"7\""), true),
            (Some("\"7.123\""), true),
            (Some("\"6\", \"7\""), true),
            (Some("\"6\""), false),
            (Some("W/\"7\""), false),
            (Some("7"), false),
            (Some(""), false),
            (Some("\"a,7\""), false),
        ] {
            assert_eq!(allows(if_match, 7), allowed, "{if_match:?}");
        }
    }

    #[test]
    fn a_response_is_known_by_its_whole_tag() {
        let tag = EntityTag { version: 7, period: Some(3) };
        for (if_none_match, known) in [
            (None, false),
            (Some("*"), true),
            (Some("\"7.3\""), true),
            (Some("W/\"7.3\""), true),
            (Some("\"1\",\"7.3\""), true),
            (Some("\"7.2\""), false),
            (Some("\"7\""), false),
        ] {
            assert_eq!(tag.is_known(if_none_match), known, "{if_none_match:?}");
        }
        assert_eq!(EntityTag { version: 7, period: None }.header(), "\"7\"");
    }
}
