//! The security schemes of the `OpenAPI` document, one for each scope: its version 3.0 has scopes only for OAuth 2.
//!
//! An operation takes one of them as its first argument, before any that reads the body: extractors run in the order of the
//! arguments, and nothing is read for a caller who may not.

use std::sync::Arc;

use darkroom_shared::access::Scope;
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::{authenticator::Authenticator, caller::Caller};
use crate::error::ApiError;

macro_rules! security_schemes {
    ($($name:ident = $scheme:literal $description:literal;)+) => {$(
        #[doc = concat!("The caller of an operation that needs the scope `", $scheme, "`.")]
        pub(crate) struct $name(pub(crate) Caller);

        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                registry.create_security_scheme($scheme, bearer($description));
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![$scheme]
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                Ok(Self(authorize(request, Scope::$name).await?))
            }
        }
    )+};
}

security_schemes! {
    Read = "read" "An API key with the scope `read` or `admin`.";
    Write = "write" "An API key with the scope `write` or `admin`.";
    Admin = "admin" "An API key with the scope `admin`.";
}

fn bearer(description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some(description),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: Some("dk_…"),
        flows: None,
        openid_connect_url: None,
    }
}

async fn authorize(request: &Request, scope: Scope) -> Result<Caller, ApiError> {
    let authenticator = request.data::<Arc<Authenticator>>();
    let authenticator = authenticator.ok_or_else(|| ApiError::Internal("the router has no authenticator".into()))?;
    authenticator.authorize(request, scope).await
}
