//! The spec: what the code says of itself, in the words that tools understand best.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    LicenseObject, OpenApi, OpenApiService, ServerObject,
    registry::{MetaApi, MetaHeader, MetaMediaType, MetaResponse, MetaSchemaRef, Registry},
    types::Type as _,
};

use crate::Apis;

const DESCRIPTION: &str = "\
`POST /v1/images` takes a picture and answers `202` at once. A worker then makes small, correct, fast-loading \
renditions of it in an S3 bucket; `GET /v1/images/{id}` tells when it is done and where they are.

Every error is a problem document (RFC 9457, `application/problem+json`). A request may carry an `X-Request-Id`; the \
answer does.";

/// What [`Apis`] document, without the state that serving them takes; for programs, or for the page that people use.
pub(crate) struct Documented<const PAGE: bool>;

/// The spec.
pub(crate) fn documented() -> OpenApiService<Documented<false>, ()> {
    describe(Documented)
}

/// The spec as Swagger UI is to have it.
pub(crate) fn for_the_page() -> OpenApiService<Documented<true>, ()> {
    describe(Documented)
}

fn describe<T: OpenApi>(apis: T) -> OpenApiService<T, ()> {
    OpenApiService::new(apis, "Darkroom", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("GPL-3.0-or-later").url("https://www.gnu.org/licenses/gpl-3.0.html"))
        .server(ServerObject::new("/").description("This server"))
}

impl<const PAGE: bool> OpenApi for Documented<PAGE> {
    fn meta() -> Vec<MetaApi> {
        let mut apis = Apis::meta();
        for operation in apis.iter_mut().flat_map(|api| &mut api.paths).flat_map(|path| &mut path.operations) {
            let responses = &mut operation.responses.responses;
            responses.sort_by_key(|response| response.status);
            responses.iter_mut().for_each(complete_headers);
            if PAGE {
                operation.request.iter_mut().flat_map(|request| &mut request.content).for_each(leave_fields_empty);
            }
        }
        apis
    }

    fn register(registry: &mut Registry) {
        Apis::register(registry);
        let properties = registry.schemas.values_mut().flat_map(|schema| &mut schema.properties);
        properties.for_each(|(_, schema)| unwrap_description(schema));
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// Adds the header that every answer has, and writes all names as they are usually written.
fn complete_headers(response: &mut MetaResponse) {
    for header in &mut response.headers {
        header.name = header.name.split('-').map(capitalised).collect::<Vec<_>>().join("-");
    }
    response.headers.push(MetaHeader {
        name: "X-Request-Id".to_owned(),
        description: Some("Names this request in the logs: yours, or a new one.".to_owned()),
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    });
}

/// Swagger UI fills a form with examples, and makes them up where there are none. Sent along, they would ask for a
/// rendition that nobody meant to ask for.
fn leave_fields_empty(form: &mut MetaMediaType) {
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
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_uppercase() + &rest.to_lowercase()
}

/// A field whose type is a named schema has its description beside an `allOf` of that schema. The framework puts it
/// inside as well, as a second schema without a type, at which some client generators give up.
fn unwrap_description(schema: &mut MetaSchemaRef) {
    if let MetaSchemaRef::Inline(schema) = schema
        && let [MetaSchemaRef::Reference(_), MetaSchemaRef::Inline(more)] = schema.all_of.as_slice()
        && more.ty.is_empty()
    {
        schema.all_of.truncate(1);
    }
}
