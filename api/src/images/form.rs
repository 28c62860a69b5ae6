//! The upload form as a stream of parts (RFC 7578), in the order in which the client sends them. At most a few chunks are in
//! memory.

use std::{error::Error as StdError, io};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use poem::{
    Request, RequestBody,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest},
};

use super::schema;
use crate::{
    error::ApiError,
    http::body::ShortChunks,
    multipart::{Event, MultipartError, Parser, PartHead, parse_boundary},
};

/// Maximum size of a text field in bytes: 32 tags of 64 characters have at most 8 KiB, metadata 4 KiB without white space.
const TEXT_MAX: usize = 16 << 10;
/// Maximum size of all text fields together, in bytes.
const TEXTS_MAX: usize = 64 << 10;

/// A `multipart/form-data` body (RFC 7578) that is read part by part.
pub(super) struct Form {
    body: BoxStream<'static, io::Result<Bytes>>,
    parser: Parser,
    length: Option<u64>,
    /// Bytes of text fields so far.
    texts: usize,
}

/// One part of a form: a field.
pub(super) struct Part<'a> {
    form: &'a mut Form,
    head: PartHead,
}

impl Form {
    /// The `Content-Length` of the body, in bytes. `None` if the client sent none.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// The next part; `None` after the last. What is left of the previous part is skipped.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>, ApiError> {
        loop {
            match self.next_event().await? {
                Event::Part(head) => return Ok(Some(Part { form: self, head })),
                Event::End => return Ok(None),
                Event::Content(_) | Event::PartEnd | Event::NeedsInput => {}
            }
        }
    }

    /// The next event other than [`Event::NeedsInput`].
    async fn next_event(&mut self) -> Result<Event, ApiError> {
        loop {
            match self.parser.next_event()? {
                Event::NeedsInput => match self.body.next().await {
                    Some(chunk) => self.parser.push(&chunk.map_err(|error| receive_error(&error))?),
                    None => self.parser.finish(),
                },
                event => return Ok(event),
            }
        }
    }

    fn open(request: &Request, body: &mut RequestBody) -> Result<Self, ApiError> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let boundary = parse_boundary(header(CONTENT_TYPE).unwrap_or_default()).ok_or(ApiError::NotMultipart)?;
        let body = body.take().map_err(|error| ApiError::Internal(error.into()))?;
        let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        Ok(Self { body: body.into_bytes_stream().boxed(), parser: Parser::new(&boundary), length, texts: 0 })
    }
}

impl Part<'_> {
    /// The field's name, from the client; empty if it has none.
    pub(super) fn name(&self) -> &str {
        &self.head.name
    }

    /// The name of the file on the client's machine.
    pub(super) fn file_name(&self) -> Option<&str> {
        self.head.file_name.as_deref()
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        match self.form.next_event().await? {
            Event::Content(content) => Ok(Some(content)),
            Event::PartEnd | Event::Part(_) | Event::End | Event::NeedsInput => Ok(None),
        }
    }

    /// The whole field as text.
    pub(super) async fn text(mut self) -> Result<String, ApiError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > TEXT_MAX {
                return Err(ApiError::Form(format!("The field {} has more than {TEXT_MAX} bytes.", self.name())));
            }
            self.form.texts += chunk.len();
            if self.form.texts > TEXTS_MAX {
                return Err(ApiError::Form(format!("The text fields have more than {TEXTS_MAX} bytes together.")));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| ApiError::Form(format!("The field {} is not text in UTF-8.", self.name())))
    }
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        let detail = match error {
            MultipartError::Syntax | MultipartError::Truncated => {
                "The form is truncated or violates the syntax of multipart/form-data.".to_owned()
            }
            MultipartError::HeadTooLarge | MultipartError::TooManyParts => format!("The form has {error}."),
        };
        Self::Form(detail)
    }
}

/// Why the rest of a body cannot be received.
fn receive_error(error: &io::Error) -> ApiError {
    if error.kind() == io::ErrorKind::TimedOut {
        return ApiError::Timeout;
    }
    if causes(error).any(<dyn StdError>::is::<ShortChunks>) {
        return ApiError::Form("The form arrives in too short chunks.".to_owned());
    }
    MultipartError::Truncated.into()
}

/// An error and its causes. An [`io::Error`] shows as its cause the one of the error that it wraps.
fn causes(error: &io::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next = error.get_ref().map(|error| error as &(dyn StdError + 'static));
    std::iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|error| error as &(dyn StdError + 'static)),
            None => error.source(),
        };
        Some(error)
    })
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
