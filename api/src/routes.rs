//! What the router knows and does not tell: which paths there are, and which methods work there.

use std::sync::LazyLock;

use poem::http::Method;
use poem_openapi::OpenApi as _;

use crate::Apis;

/// Every documented path, in segments, with its methods.
static TABLE: LazyLock<Vec<(Vec<String>, Vec<Method>)>> = LazyLock::new(|| {
    let paths = Apis::meta().into_iter().flat_map(|api| api.paths);
    let row = |path: poem_openapi::registry::MetaPath| {
        let segments = path.path.split('/').map(str::to_owned).collect();
        (segments, path.operations.into_iter().map(|operation| operation.method).collect())
    };
    paths.map(row).collect()
});

/// Every documented path, as the router writes patterns.
pub(crate) fn patterns() -> impl Iterator<Item = String> {
    let pattern = |(segments, _): &(Vec<String>, Vec<Method>)| segments.join("/").replace('{', ":").replace('}', "");
    TABLE.iter().map(pattern)
}

/// The methods that work at a path, as the `Allow` header lists them (RFC 9110, section 10.2.1).
pub(crate) fn allowed(path: &str) -> String {
    let same = |pattern: &[String]| {
        pattern.len() == path.split('/').count()
            && pattern.iter().zip(path.split('/')).all(|(known, asked)| known.starts_with('{') || known == asked)
    };
    let methods = TABLE.iter().find(|(pattern, _)| same(pattern)).map(|(_, methods)| methods.as_slice());
    // Whatever is not in the spec is a page to look at.
    let methods = methods.unwrap_or(&[Method::GET]);
    let head = methods.contains(&Method::GET).then_some("HEAD");
    methods.iter().map(Method::as_str).chain(head).collect::<Vec<_>>().join(", ")
}

/// Whether a path is asked for by probes rather than by clients.
pub(crate) fn is_probe(path: &str) -> bool {
    ["/healthz", "/readyz"].contains(&path)
}
