//! The spec, the page that shows it, and the explanations that problem documents point to.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use poem::{
    Endpoint, Request, Response, Result, Route,
    endpoint::make_sync,
    get,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION},
    },
};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{ApiError, KINDS},
    spec, spec_json, spec_yaml,
};

/// Documentation changes only with the binary. Not longer, so that an upgrade is seen.
const CACHE: &str = "public, max-age=300";

/// Adds the documentation to `route`.
pub(crate) fn add(route: Route) -> Route {
    let page =
        spec::for_the_page().swagger_ui_html().replace("<title>Swagger UI</title>", "<title>Darkroom API</title>");
    let page = format!("<!doctype html>{page}");
    let policy = format!(
        "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        script_hashes(&page)
    );
    route
        .at("/", get(make_sync(|_| Response::builder().status(StatusCode::FOUND).header(LOCATION, "/docs").finish())))
        .at("/docs", get(fixed("text/html; charset=utf-8", page, Some(policy))))
        .at("/openapi.json", get(fixed("application/json", spec_json(), None)))
        // RFC 9512
        .at("/openapi.yaml", get(fixed("application/yaml", spec_yaml(), None)))
        .at("/problems/:kind", get(make_sync(|request| explain(&request))))
}

fn fixed(content_type: &'static str, body: String, policy: Option<String>) -> impl Endpoint + 'static {
    let body = Bytes::from(body);
    make_sync(move |_| {
        let mut answer = Response::builder().content_type(content_type).header(CACHE_CONTROL, CACHE);
        if let Some(policy) = &policy {
            answer = answer.header(CONTENT_SECURITY_POLICY, policy);
        }
        answer.body(body.clone())
    })
}

/// The inline scripts of a page as sources of a Content-Security-Policy: these run, and no others.
fn script_hashes(mut page: &str) -> String {
    let mut hashes = Vec::new();
    while let Some((_, rest)) = page.split_once("<script")
        && let Some((_, rest)) = rest.split_once('>')
        && let Some((script, rest)) = rest.split_once("</script>")
    {
        hashes.push(format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script))));
        page = rest;
    }
    hashes.join(" ")
}

/// What stands behind the `type` of a problem document.
fn explain(request: &Request) -> Result<Response> {
    let slug = request.raw_path_param("kind").unwrap_or_default();
    let kind = KINDS.iter().find(|kind| kind.slug == slug).ok_or(ApiError::NotFound("kind of problem"))?;
    let text = format!("{}\n\nStatus: {}\n", kind.title, kind.status);
    Ok(Response::builder().content_type("text/plain; charset=utf-8").header(CACHE_CONTROL, CACHE).body(text))
}
