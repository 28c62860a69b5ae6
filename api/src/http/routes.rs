//! The documented paths and their methods, which the router does not reveal.

use poem::http::Method;
use poem_openapi::registry::{MetaApi, MetaPath};

/// The documented paths with their methods.
pub(crate) struct Routes(Vec<DocumentedPath>);

struct DocumentedPath {
    /// Segments; parameters are in braces, as in `OpenAPI`.
    segments: Vec<String>,
    methods: Vec<Method>,
}

impl Routes {
    pub(crate) fn new(apis: Vec<MetaApi>) -> Self {
        let documented = |path: MetaPath| DocumentedPath {
            segments: path.path.split('/').map(str::to_owned).collect(),
            methods: path.operations.into_iter().map(|operation| operation.method).collect(),
        };
        Self(apis.into_iter().flat_map(|api| api.paths).map(documented).collect())
    }

    /// Every path as a pattern of the router, with parameters as `:name`.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|path| path.segments.join("/").replace('{', ":").replace('}', ""))
    }

    /// The methods of a path, as the value of an `Allow` header (RFC 9110, section 10.2.1).
    pub(crate) fn allow(&self, path: &str) -> String {
        let methods = self.0.iter().find(|documented| documented.matches(path)).map(|path| path.methods.as_slice());
        // All paths outside the OpenAPI document are pages.
        let methods = methods.unwrap_or(&[Method::GET]);
        let head = methods.contains(&Method::GET).then_some("HEAD");
        methods.iter().map(Method::as_str).chain(head).collect::<Vec<_>>().join(", ")
    }
}

impl DocumentedPath {
    fn matches(&self, path: &str) -> bool {
        self.segments.len() == path.split('/').count()
            && self
                .segments
                .iter()
                .zip(path.split('/'))
                .all(|(known, segment)| known.starts_with('{') || known == segment)
    }
}
