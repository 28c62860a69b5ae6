//! The `OpenAPI` document, Swagger UI, and the descriptions of problem types.

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

use super::problem::PROBLEM_TYPES;
use crate::{error::ApiError, spec};

/// Documentation changes only with the binary; five minutes, so that an upgrade is visible soon.
const CACHE: &str = "public, max-age=300";

/// Adds the documentation's paths to `route`.
pub(crate) fn add(route: Route) -> Route {
    let page = spec::swagger_ui_html().replace("<title>Swagger UI</title>", "<title>Darkroom API</title>");
    let page = format!("<!doctype html>{page}");
    let policy = format!(
        "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        script_sources(&page)
    );
    route
        .at("/", get(make_sync(|_| Response::builder().status(StatusCode::FOUND).header(LOCATION, "/docs").finish())))
        .at("/docs", get(fixed("text/html; charset=utf-8", page, Some(policy))))
        .at("/openapi.json", get(fixed("application/json", spec::json(), None)))
        // RFC 9512
        .at("/openapi.yaml", get(fixed("application/yaml", spec::yaml(), None)))
        .at("/problems/:slug", get(make_sync(|request| describe_problem_type(&request))))
}

fn fixed(content_type: &'static str, body: String, policy: Option<String>) -> impl Endpoint + 'static {
    let body = Bytes::from(body);
    make_sync(move |_| {
        let mut response = Response::builder().content_type(content_type).header(CACHE_CONTROL, CACHE);
        if let Some(policy) = &policy {
            response = response.header(CONTENT_SECURITY_POLICY, policy);
        }
        response.body(body.clone())
    })
}

/// The hashes of a page's inline scripts as sources of a Content-Security-Policy, so that the browser runs no others.
fn script_sources(mut page: &str) -> String {
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

/// The resource that the `type` of a problem document refers to.
fn describe_problem_type(request: &Request) -> Result<Response> {
    let slug = request.raw_path_param("slug").unwrap_or_default();
    let problem_type = PROBLEM_TYPES.iter().find(|problem_type| problem_type.slug == slug);
    let problem_type = problem_type.ok_or(ApiError::NotFound("problem type"))?;
    let text = format!("{}\n\nStatus: {}\n", problem_type.title, problem_type.status);
    Ok(Response::builder().content_type("text/plain; charset=utf-8").header(CACHE_CONTROL, CACHE).body(text))
}
