//! The upload form as a stream of parts (RFC 7578), in the order in which the client sends them. At most a few chunks are in
//! memory.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream::BoxStream};
use multer::{Field, Multipart};
use poem::{
    Request, RequestBody,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest},
};

use super::schema;
use crate::error::ApiError;

/// Maximum size of a text field in bytes; a title of 200 characters has at most 800.
const TEXT_MAX: usize = 4 << 10;
/// Maximum number of bytes outside the content of parts: the headers of one part, or the preamble.
const UNPARSED_MAX: usize = 256 << 10;

/// A `multipart/form-data` body (RFC 7578) that is read part by part.
pub(super) struct Form {
    parts: Multipart<'static>,
    /// Bytes received since the parser last returned something; shared with [`Chunks`].
    unparsed: Arc<AtomicUsize>,
    length: Option<u64>,
}

/// One part of a form: a field.
pub(super) struct Part<'a> {
    field: Field<'static>,
    unparsed: &'a AtomicUsize,
}

impl Form {
    /// The `Content-Length` of the body, in bytes. `None` if the client sent none.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// The next part; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>, ApiError> {
        let field = self.parts.next_field().await?;
        self.unparsed.store(0, Ordering::Relaxed);
        Ok(field.map(|field| Part { field, unparsed: &self.unparsed }))
    }

    fn open(request: &Request, body: &mut RequestBody) -> Result<Self, ApiError> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = header(CONTENT_TYPE).unwrap_or_default();
        let boundary = multer::parse_boundary(content_type).map_err(|_| ApiError::NotMultipart)?;
        let body = body.take().map_err(|error| ApiError::Internal(error.into()))?;
        let unparsed = Arc::new(AtomicUsize::new(0));
        let chunks = Chunks { stream: body.into_bytes_stream().boxed(), unparsed: Arc::clone(&unparsed), pause: false };
        let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        Ok(Self { parts: Multipart::new(chunks, boundary), unparsed, length })
    }
}

impl Part<'_> {
    /// The field's name, from the client; empty if it has none.
    pub(super) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// The name of the file on the client's machine.
    pub(super) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        let chunk = self.field.chunk().await?;
        self.unparsed.store(0, Ordering::Relaxed);
        Ok(chunk)
    }

    /// The whole field as text.
    pub(super) async fn text(mut self) -> Result<String, ApiError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > TEXT_MAX {
                return Err(ApiError::Form(format!("The field {} has more than {TEXT_MAX} bytes.", self.name())));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| ApiError::Form(format!("The field {} is not text in UTF-8.", self.name())))
    }
}

/// A body's chunks, one at a time. Without it multer would buffer every chunk that is available, and would search without limit
/// for the end of a part's headers.
struct Chunks {
    stream: BoxStream<'static, io::Result<Bytes>>,
    unparsed: Arc<AtomicUsize>,
    /// Whether the next poll returns `Pending`, so that multer parses the last chunk first.
    pause: bool,
}

/// More than [`UNPARSED_MAX`] bytes outside the content of parts.
#[derive(Debug, thiserror::Error)]
#[error("no part of the form begins within {UNPARSED_MAX} bytes")]
struct NoPart;

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.stream.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            self.pause = true;
            if self.unparsed.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len() > UNPARSED_MAX {
                return Poll::Ready(Some(Err(io::Error::other(NoPart))));
            }
        }
        next
    }
}

impl From<multer::Error> for ApiError {
    fn from(error: multer::Error) -> Self {
        if let multer::Error::StreamReadFailed(cause) = &error
            && cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
        {
            return Self::Timeout;
        }
        Self::Form("The form is truncated or violates the syntax of multipart/form-data.".to_owned())
    }
}

impl<'a> ApiExtractor<'a> for Form {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: Some("The image, and what to render of it."),
            content: vec![MetaMediaType { content_type: "multipart/form-data", schema: schema::form() }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self::open(request, body)?)
    }
}
