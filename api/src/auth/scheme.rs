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

use super::{
    authenticator::Authenticator,
    caller::{self, Caller},
    refusal::Refusal,
};
use crate::{error::ApiError, limits::Limiter};

macro_rules! security_schemes {
    ($($(#[$doc:meta])+ $name:ident = $scheme:literal $description:expr, $authorize:ident($($scope:expr)?);)+) => {$(
        $(#[$doc])+
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
                let authorize = authenticator(request)?.$authorize(request $(, $scope)?);
                Ok(Self(within_limits(request, authorize).await?))
            }
        }
    )+};
}

security_schemes! {
    /// The caller of an operation that needs the scope `read`.
    Read = "read" "An API key with the scope `read` or `admin`.", authorize(Scope::Read);
    /// The caller of an operation that needs the scope `write`.
    Write = "write" WRITE, authorize(Scope::Write);
    /// The caller of an upload: it has the scope `write`, or an upload token.
    Upload = "write" WRITE, authorize_upload();
    /// The caller of an operation that needs the scope `admin`.
    Admin = "admin" "An API key with the scope `admin`.", authorize(Scope::Admin);
}

const WRITE: &str = "An API key with the scope `write` or `admin`; for `POST /v1/images` also an upload token.";

/// The security scheme of API keys.
pub(crate) fn bearer(description: &'static str) -> MetaSecurityScheme {
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

fn authenticator(request: &Request) -> Result<&Authenticator, ApiError> {
    let authenticator = request.data::<Arc<Authenticator>>();
    authenticator.map(AsRef::as_ref).ok_or_else(|| ApiError::Internal("the router has no authenticator".into()))
}

/// Counts the request, of its caller, or of its address where it has an invalid key.
async fn within_limits(
    request: &Request,
    authorize: impl Future<Output = Result<Caller, ApiError>>,
) -> Result<Caller, ApiError> {
    let limiter = request.data::<Arc<Limiter>>();
    let limiter = limiter.ok_or_else(|| ApiError::Internal("the router has no limiter".into()))?;
    let authorized = authorize.await;
    match &authorized {
        Ok(caller) => limiter.admit(caller.client(), caller.owner, &caller.quotas)?,
        Err(ApiError::Unauthenticated(Refusal::NoKey | Refusal::NotLocal)) => {}
        Err(ApiError::Unauthenticated(_)) => {
            limiter.count_failed_authentication(caller::client_without_key(request))?;
        }
        Err(_) => {}
    }
    authorized
}
