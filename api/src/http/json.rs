//! JSON bodies of bounded size.

use std::io;

use futures::StreamExt as _;
use poem::{Request, RequestBody, http::header::CONTENT_TYPE};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ApiError;

const MEDIA_TYPE: &str = "application/json";
/// RFC 7396.
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Maximum size of a body, in bytes. The framework's own JSON bodies have none.
const MAX_BYTES: usize = 64 << 10;

/// The body of a request as JSON, read by serde, whose errors name the member. Other media types are refused: a page of another
/// site could send some of them without a CORS preflight.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = read(request, body, &[MEDIA_TYPE], MEDIA_TYPE).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| ApiError::Json(error.to_string()))?;
        Ok(Self(value))
    }
}

/// A JSON Merge Patch (RFC 7396) that is an object, read as [`JsonBody`] is. `application/json` is taken as well, because it is what
/// most clients send.
pub(crate) struct MergePatch<T>(pub(crate) T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for MergePatch<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        // Client generators use the first.
        let content =
            [MEDIA_TYPE, MERGE_PATCH].map(|content_type| MetaMediaType { content_type, schema: T::schema_ref() });
        Some(MetaRequest { description: None, content: content.into(), required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let expected = "application/merge-patch+json or application/json";
        let bytes = read(request, body, &[MERGE_PATCH, MEDIA_TYPE], expected).await?;
        let invalid = |error: serde_json::Error| ApiError::Json(error.to_string());
        // Not T at once: serde reads a struct from an array as well.
        let patch: Map<String, Value> = serde_json::from_slice(&bytes).map_err(invalid)?;
        Ok(Self(serde_json::from_value(patch.into()).map_err(invalid)?))
    }
}

/// The body, if it is of one of these media types. `expected`: those for people.
async fn read(
    request: &Request,
    body: &mut RequestBody,
    media_types: &[&str],
    expected: &'static str,
) -> Result<Vec<u8>, ApiError> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !media_types.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type)) {
        return Err(ApiError::NotJson(expected));
    }
    let mut stream = body.take().map_err(|error| ApiError::Internal(error.into()))?.into_bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ApiError::Timeout,
            _ => ApiError::Json("it is truncated".to_owned()),
        })?;
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(ApiError::Json(format!("it has more than {MAX_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
