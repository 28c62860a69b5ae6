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

use crate::error::ApiError;

const MEDIA_TYPE: &str = "application/json";
/// Maximum size of a body, in bytes. The framework's own JSON bodies have none.
const MAX_BYTES: usize = 64 << 10;

/// The body of a request as JSON, read by serde, whose errors name the member. Another media type is refused, also because a page of another site could send it without a CORS
/// preflight.
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
        let bytes = read(request, body).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| ApiError::Json(error.to_string()))?;
        Ok(Self(value))
    }
}

async fn read(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(ApiError::NotJson);
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
