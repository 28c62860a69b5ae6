//! What the worker and a render child say to each other over one socket: frames of a JSON head and a raw body.
//!
//! A frame is the head's length (4 bytes, little-endian), the body's length (8), the head, the body. The worker sends
//! [`Order`]s whose body is the source, each followed, if its recipe has an overlay, by a frame without a head (`null`) whose
//! body is the overlay's file; the child answers each with any number of [`Reply::Rendition`]s, whose body is
//! the file, and one other reply. After its start it says [`Reply::Ready`] unasked.
//!
//! The child has handled an attacker's bytes, so the worker believes nothing it says: lengths are bounded before
//! anything is allocated, and memory grows only with what has arrived.

use std::io::{self, Read, Write};

use darkroom_model::{Failure, ImageAnalysis, RenditionFormat, recipe::Recipe};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use darkroom_pipeline::Limits;

use super::confinement::Confinement;

/// The longest head, in bytes.
const MAX_HEAD: u32 = 64 << 10;
/// The lengths before a head.
const PREFIX: usize = 12;

/// What the worker wants.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// What to make of the source.
    pub recipe: Recipe,
    /// What the source may ask for.
    pub limits: Limits,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is confined and waits for orders.
    Ready(Confinement),
    /// A rendition is encoded; its file is the body.
    Rendition {
        /// Unique within the order.
        name: String,
        /// What the file is.
        format: RenditionFormat,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// All renditions are made.
    Done(ImageAnalysis),
    /// The picture is at fault.
    Refused {
        /// For the uploader.
        failure: Failure,
        /// For the log.
        cause: String,
    },
    /// The pipeline is at fault.
    Failed {
        /// For the log.
        cause: String,
    },
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The other side is gone, or the socket fails.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// A length beyond its bound.
    #[error("a frame of {head} + {body} bytes")]
    TooLong {
        /// Of the head, in bytes.
        head: u32,
        /// Of the body, in bytes.
        body: u64,
    },
    /// A head that cannot be read.
    #[error("a frame that cannot be read: {0}")]
    Garbage(#[from] serde_json::Error),
}

/// A frame that was received.
#[derive(Debug)]
pub struct Frame<T> {
    /// What it says.
    pub head: T,
    /// The raw bytes behind it.
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

/// Prefix and head of a frame.
fn start<T: Serialize>(head: &T, body: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let head = serde_json::to_vec(head)?;
    let length = u32::try_from(head.len()).ok().filter(|length| *length <= MAX_HEAD);
    let length = length.ok_or(ProtocolError::TooLong { head: u32::MAX, body: body.len() as u64 })?;
    let mut frame = Vec::with_capacity(PREFIX + head.len());
    frame.extend(length.to_le_bytes());
    frame.extend((body.len() as u64).to_le_bytes());
    frame.extend(head);
    Ok(frame)
}

fn whole<T: DeserializeOwned>(lengths: &Lengths, mut head: Vec<u8>) -> Result<Frame<T>, ProtocolError> {
    let length = lengths.head as usize;
    if (head.len() as u64) < u64::from(lengths.head) + lengths.body {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let parsed = serde_json::from_slice(&head[..length])?;
    head.drain(..length);
    Ok(Frame { head: parsed, body: head })
}

/// Reads a frame whose body is at most so long; blocks.
pub fn read<T: DeserializeOwned>(reader: &mut impl Read, max_body: u64) -> Result<Frame<T>, ProtocolError> {
    let mut prefix = [0; PREFIX];
    reader.read_exact(&mut prefix)?;
    let lengths = Lengths::parse(prefix, max_body)?;
    let mut bytes = Vec::new();
    reader.take(u64::from(lengths.head) + lengths.body).read_to_end(&mut bytes)?;
    whole(&lengths, bytes)
}

/// Writes a frame; blocks.
pub fn write<T: Serialize>(writer: &mut impl Write, head: &T, body: &[u8]) -> Result<(), ProtocolError> {
    writer.write_all(&start(head, body)?)?;
    writer.write_all(body)?;
    Ok(writer.flush()?)
}

/// Reads a frame whose body is at most so long.
pub(super) async fn receive<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
    max_body: u64,
) -> Result<Frame<T>, ProtocolError> {
    let mut prefix = [0; PREFIX];
    reader.read_exact(&mut prefix).await?;
    let lengths = Lengths::parse(prefix, max_body)?;
    let mut bytes = Vec::new();
    reader.take(u64::from(lengths.head) + lengths.body).read_to_end(&mut bytes).await?;
    whole(&lengths, bytes)
}

/// Writes a frame.
pub(super) async fn send<T: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    head: &T,
    body: &[u8],
) -> Result<(), ProtocolError> {
    writer.write_all(&start(head, body)?).await?;
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
    fn a_length_beyond_its_bound_is_refused_before_anything_is_read() {
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
    fn a_frame_that_is_cut_short_or_garbage_is_an_error() {
        let bytes = frame(&failed(), b"body");
        for length in 0..bytes.len() {
            assert!(matches!(read::<Reply>(&mut &bytes[..length], 4), Err(ProtocolError::Io(_))), "{length}");
        }
        let mut bytes = bytes;
        bytes[PREFIX] = b'?';
        assert!(matches!(read::<Reply>(&mut bytes.as_slice(), 4), Err(ProtocolError::Garbage(_))));
    }
}
