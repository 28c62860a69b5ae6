//! The messages between the worker and a render child over one socket: frames of a JSON head and a raw body.
//!
//! A frame is the length of the head (4 bytes, little-endian), the length of the body (8 bytes, little-endian), the
//! head and the body.
//!
//! | from | head | body |
//! |---|---|---|
//! | child | [`Reply::Ready`], once after its start | |
//! | worker | [`RenderRequest`] | the source |
//! | worker | `null`, if the recipe of the request has an overlay | the overlay's file |
//! | child | [`Reply::Rendition`], any number | the rendition's file |
//! | child | another [`Reply`], which ends the request | |
//!
//! The child has handled untrusted bytes, so the worker trusts no reply: lengths are checked before anything is
//! allocated, and memory grows only with the bytes that have arrived.

use std::io::{self, Read, Write};

use darkroom_model::{Failure, ImageAnalysis, Owner, RenditionFormat, recipe::Recipe};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use darkroom_pipeline::Limits;

use super::confinement::Confinement;

/// Maximum length of a head, in bytes.
const MAX_HEAD: u32 = 64 << 10;
/// Size of the two lengths before a head, in bytes.
const PREFIX: usize = 12;

/// A picture to render.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenderRequest {
    /// What to render.
    pub recipe: Recipe,
    /// Limits on the source, and the cores to use. The pool sets the memory.
    pub limits: Limits,
    /// Who the image belongs to. Not sent to the child.
    #[serde(skip, default = "not_sent")]
    pub owner: Owner,
}

/// The owner in a child, which does not use it.
fn not_sent() -> Owner {
    Owner::DEFAULT
}

/// A message of a child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The child is confined and waits for requests.
    Ready(Confinement),
    /// A rendition; its file is the body.
    Rendition {
        /// Unique within the request.
        name: String,
        /// Format of the file.
        format: RenditionFormat,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// All renditions have been sent.
    Done(ImageAnalysis),
    /// The pipeline refuses the picture.
    Refused {
        /// For the uploader.
        failure: Failure,
        /// For the log.
        cause: String,
    },
    /// The pipeline failed for a reason that does not lie in the picture.
    Failed {
        /// For the log.
        cause: String,
    },
    /// An allocation failed that a library reports.
    OutOfMemory {
        /// For the log.
        cause: String,
    },
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The other side has closed the socket, or the socket failed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// A length above its limit.
    #[error("a frame of {head} + {body} bytes is too long")]
    TooLong {
        /// Length of the head, in bytes.
        head: u32,
        /// Length of the body, in bytes.
        body: u64,
    },
    /// A head that is not valid JSON of its type.
    #[error("a frame of invalid JSON: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// A received frame.
#[derive(Debug)]
pub struct Frame<T> {
    /// The message.
    pub head: T,
    /// The raw bytes after the message.
    pub body: Vec<u8>,
}

struct Lengths {
    head: u32,
    body: u64,
}

impl Lengths {
    fn parse(prefix: [u8; PREFIX], max_body: u64) -> Result<Self, ProtocolError> {
        let [a, b, c, d, body @ ..] = prefix;
        let (head, body) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(body));
        if head > MAX_HEAD || body > max_body {
            return Err(ProtocolError::TooLong { head, body });
        }
        Ok(Self { head, body })
    }
}

/// The lengths and the head of a frame.
fn encode_head<T: Serialize>(head: &T, body: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let head = serde_json::to_vec(head)?;
    let length = u32::try_from(head.len()).ok().filter(|length| *length <= MAX_HEAD);
    let length = length.ok_or(ProtocolError::TooLong { head: u32::MAX, body: body.len() as u64 })?;
    let mut frame = Vec::with_capacity(PREFIX + head.len());
    frame.extend(length.to_le_bytes());
    frame.extend((body.len() as u64).to_le_bytes());
    frame.extend(head);
    Ok(frame)
}

/// Splits head and body.
fn decode<T: DeserializeOwned>(lengths: &Lengths, mut bytes: Vec<u8>) -> Result<Frame<T>, ProtocolError> {
    let length = lengths.head as usize;
    if (bytes.len() as u64) < u64::from(lengths.head) + lengths.body {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let head = serde_json::from_slice(&bytes[..length])?;
    bytes.drain(..length);
    Ok(Frame { head, body: bytes })
}

/// Reads a frame with a body of at most `max_body` bytes; blocks.
pub fn read<T: DeserializeOwned>(reader: &mut impl Read, max_body: u64) -> Result<Frame<T>, ProtocolError> {
    let mut prefix = [0; PREFIX];
    reader.read_exact(&mut prefix)?;
    let lengths = Lengths::parse(prefix, max_body)?;
    let mut bytes = Vec::new();
    reader.take(u64::from(lengths.head) + lengths.body).read_to_end(&mut bytes)?;
    decode(&lengths, bytes)
}

/// Writes a frame; blocks.
pub fn write<T: Serialize>(writer: &mut impl Write, head: &T, body: &[u8]) -> Result<(), ProtocolError> {
    writer.write_all(&encode_head(head, body)?)?;
    writer.write_all(body)?;
    Ok(writer.flush()?)
}

/// Reads a frame with a body of at most `max_body` bytes.
pub(super) async fn receive<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
    max_body: u64,
) -> Result<Frame<T>, ProtocolError> {
    let mut prefix = [0; PREFIX];
    reader.read_exact(&mut prefix).await?;
    let lengths = Lengths::parse(prefix, max_body)?;
    let mut bytes = Vec::new();
    reader.take(u64::from(lengths.head) + lengths.body).read_to_end(&mut bytes).await?;
    decode(&lengths, bytes)
}

/// Writes a frame.
pub(super) async fn send<T: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    head: &T,
    body: &[u8],
) -> Result<(), ProtocolError> {
    writer.write_all(&encode_head(head, body)?).await?;
    writer.write_all(body).await?;
    Ok(writer.flush().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(head: &Reply, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, head, body).unwrap();
        bytes
    }

    fn failed() -> Reply {
        Reply::Failed { cause: "x".to_owned() }
    }

    #[test]
    fn a_frame_reads_as_it_was_written() {
        let bytes = frame(&failed(), b"body");
        let Frame { head: Reply::Failed { cause }, body } = read(&mut bytes.as_slice(), 4).unwrap() else { panic!() };
        assert_eq!((cause.as_str(), body.as_slice()), ("x", b"body".as_slice()));
    }

    #[test]
    fn a_length_above_its_limit_is_refused_before_the_body_is_read() {
        let bytes = frame(&failed(), b"body!");
        assert!(matches!(read::<Reply>(&mut bytes.as_slice(), 4), Err(ProtocolError::TooLong { body: 5, .. })));
        let huge = [0xFF; PREFIX];
        assert!(matches!(read::<Reply>(&mut huge.as_slice(), u64::MAX), Err(ProtocolError::TooLong { .. })));
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error() {
        let valid = frame(&failed(), b"body");
        for at in 0..valid.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = valid.clone();
                bytes[at] = byte;
                if let Ok(Frame { body, .. }) = read::<Reply>(&mut bytes.as_slice(), 64) {
                    assert!(body.len() <= 64);
                }
            }
        }
    }

    #[test]
    fn a_truncated_or_malformed_frame_is_an_error() {
        let bytes = frame(&failed(), b"body");
        for length in 0..bytes.len() {
            assert!(matches!(read::<Reply>(&mut &bytes[..length], 4), Err(ProtocolError::Io(_))), "{length}");
        }
        let mut bytes = bytes;
        bytes[PREFIX] = b'?';
        assert!(matches!(read::<Reply>(&mut bytes.as_slice(), 4), Err(ProtocolError::Malformed(_))));
    }
}
