//! The `OpenAPI` document, generated from the code and adjusted for client generators and Swagger UI.

mod security;

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    LicenseObject, OpenApi, OpenApiService, ServerObject,
    registry::{MetaApi, MetaHeader, MetaMediaType, MetaResponse, MetaSchemaRef, Registry},
    types::Type as _,
};

use self::security::{add_problems, register_united, unite_schemes};
use crate::Apis;

const DESCRIPTION: &str = "\
`POST /v1/images` accepts an image and responds with `202` at once. A worker then renders small, correct, fast-loading \
renditions of it into an S3 bucket; `GET /v1/images/{id}` has their state and their URLs.

Every request but those of the probes needs an API key, `Authorization: Bearer dk_…`, with the scope that the operation names. \
Keys belong to an owner, and see and change what is their owner's; all else does not exist for them.

Every error response is a problem document (RFC 9457, `application/problem+json`). A request may have an `X-Request-Id`; \
every response has one. Responses of `/v1` tell in `RateLimit-Policy` and `RateLimit` \
(draft-ietf-httpapi-ratelimit-headers) what the caller may send; `GET /v1/limits` lists every limit.";

/// The `OpenAPI` document in JSON.
pub fn json() -> String {
    service(Document).spec() + "\n"
}

/// The `OpenAPI` document in YAML, as in `openapi.yaml`.
pub fn yaml() -> String {
    service(Document).spec_yaml()
}

/// Swagger UI as an HTML page that loads nothing else.
pub(crate) fn swagger_ui_html() -> String {
    service(SwaggerUiDocument).swagger_ui_html()
}

fn service<T: OpenApi>(apis: T) -> OpenApiService<T, ()> {
    OpenApiService::new(apis, "Darkroom", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("GPL-3.0-or-later").url("https://www.gnu.org/licenses/gpl-3.0.html"))
        .server(ServerObject::new("/").description("This server"))
}

/// The documentation of [`Apis`], without the state that their handlers need.
struct Document;

impl OpenApi for Document {
    fn meta() -> Vec<MetaApi> {
        let mut apis = Apis::meta();
        for operation in apis.iter_mut().flat_map(|api| &mut api.paths).flat_map(|path| &mut path.operations) {
            let responses = &mut operation.responses.responses;
            responses.iter_mut().for_each(complete_headers);
            add_problems(operation);
            // Ranges of statuses last.
            operation.responses.responses.sort_by_key(|response| response.status.unwrap_or(u16::MAX));
        }
        apis
    }

    fn register(registry: &mut Registry) {
        Apis::register(registry);
        let properties = registry.schemas.values_mut().flat_map(|schema| &mut schema.properties);
        properties.for_each(|(_, schema)| remove_untyped_schema(schema));
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// [`Document`] with empty examples for optional form fields, and one security scheme for all scopes.
struct SwaggerUiDocument;

impl OpenApi for SwaggerUiDocument {
    fn meta() -> Vec<MetaApi> {
        let mut apis = Document::meta();
        for operation in apis.iter_mut().flat_map(|api| &mut api.paths).flat_map(|path| &mut path.operations) {
            operation.request.iter_mut().flat_map(|request| &mut request.content).for_each(empty_optional_fields);
            unite_schemes(operation);
        }
        apis
    }

    fn register(registry: &mut Registry) {
        Document::register(registry);
        register_united(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// Adds the header that the middleware sets, and writes header names in their usual case.
fn complete_headers(response: &mut MetaResponse) {
    for header in &mut response.headers {
        header.name = header.name.split('-').map(capitalised).collect::<Vec<_>>().join("-");
    }
    response.headers.push(request_id_header());
}

fn request_id_header() -> MetaHeader {
    MetaHeader {
        name: "X-Request-Id".to_owned(),
        description: Some("Identifies this request in the logs: the client's id or a new one.".to_owned()),
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

/// Swagger UI fills a form with the examples, or with values of its own where there are none. Submitting these would request
/// a rendition by mistake.
fn empty_optional_fields(form: &mut MetaMediaType) {
    let MetaSchemaRef::Inline(form) = &mut form.schema else { return };
    for (name, field) in &mut form.properties {
        if let MetaSchemaRef::Inline(field) = field
            && !form.required.contains(name)
        {
            field.example = Some("".into());
        }
    }
}

fn capitalised(word: &str) -> String {
    if word.eq_ignore_ascii_case("etag") {
        return "ETag".to_owned();
    }
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_uppercase() + &rest.to_lowercase()
}

/// A property with a named schema has its description beside an `allOf` of that schema. The framework adds the description
/// to the `allOf` as a second schema without a type, which some client generators reject.
fn remove_untyped_schema(schema: &mut MetaSchemaRef) {
    if let MetaSchemaRef::Inline(schema) = schema
        && let [MetaSchemaRef::Reference(_), MetaSchemaRef::Inline(second)] = schema.all_of.as_slice()
        && second.ty.is_empty()
    {
        schema.all_of.truncate(1);
    }
}
