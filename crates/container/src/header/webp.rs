//! WebP (RFC 9649): the canvas, and the number of ANMF chunks.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, byte_reader::ByteReader, error::broken};
use darkroom_model::SourceFormat;

/// Flags of the VP8X chunk (section 2.7.1).
const ANIMATION: u8 = 0b10;
const ALPHA: u8 = 0b1_0000;

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP")
}

pub(super) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    let start = input.position()?;
    input.skip_exact(4)?;
    // Like browsers, ignore what follows the RIFF container.
    let end = start + 8 + u64::from(input.le32()?);
    input.skip_exact(4)?;
    let kind: [u8; 4] = input.array()?;
    let length = input.le32()?;
    match &kind {
        b"VP8 " => {
            let (width, height) = lossy_size(input)?;
            input.skip_exact(u64::from(length).saturating_sub(10))?;
            header(width, height, 1, false)
        }
        b"VP8L" => {
            let (width, height) = lossless_size(input)?;
            input.skip_exact(u64::from(length).saturating_sub(5))?;
            header(width, height, 1, true)
        }
        b"VP8X" => extended(input, length, end, limits),
        _ => broken("its first chunk is not VP8, VP8L or VP8X"),
    }
}

fn header(width: u32, height: u32, frames: u32, alpha: bool) -> Result<Header, HeaderError> {
    if width == 0 || height == 0 {
        return broken("its width or height is 0");
    }
    let bits_per_pixel = if alpha { 32 } else { 24 };
    Ok(Header { format: SourceFormat::Webp, width, height, frames, scans: 1, bits_per_pixel, decoded_pixels: 0 })
}

/// The size in the frame header of a key frame (RFC 6386, section 9.1): 10 bytes.
fn lossy_size<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(u32, u32), HeaderError> {
    let [tag, _, _, 0x9D, 0x01, 0x2A] = input.array()? else { return broken("it does not begin with a key frame") };
    if tag & 1 != 0 {
        return broken("it does not begin with a key frame");
    }
    // The two upper bits request upscaling by the viewer, which viewers ignore.
    let size = |value: u16| u32::from(value & 0x3FFF);
    Ok((size(input.le16()?), size(input.le16()?)))
}

/// The size in the header of a lossless bitstream (RFC 9649, section 3.4): 5 bytes.
fn lossless_size<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(u32, u32), HeaderError> {
    if input.u8()? != 0x2F {
        return broken("its lossless stream has no signature");
    }
    let bits = input.le32()?;
    Ok(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1))
}

/// The extended file format (RFC 9649, section 2.7), after the header of the VP8X chunk.
fn extended<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    length: u32,
    end: u64,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    if length < 10 {
        return broken("its extended header is too short");
    }
    let [flags, _, _, _] = input.array()?;
    let canvas = (input.le24()? + 1, input.le24()? + 1);
    input.skip_exact(u64::from(length - 10) + u64::from(length % 2))?;
    let header = header(canvas.0, canvas.1, 1, flags & ALPHA != 0)?;
    limits.check(Limit::Pixels, header.pixels())?;
    let (mut frames, mut bitstreams) = (0_u32, 0_u32);
    while input.position()? < end && !input.at_end()? {
        let kind: [u8; 4] = input.array()?;
        let length = input.le32()?;
        let read: u32 = match &kind {
            b"ANMF" if length >= 16 => {
                frames += 1;
                limits.check(Limit::Frames, frames.into())?;
                frame_on_canvas(input, canvas)?;
                12
            }
            b"VP8 " | b"VP8L" => {
                bitstreams += 1;
                let (size, read) = if &kind == b"VP8 " { (lossy_size(input)?, 10) } else { (lossless_size(input)?, 5) };
                if size != canvas {
                    return broken("the picture and its canvas differ in size");
                }
                read
            }
            _ => 0,
        };
        input.skip_exact(length.saturating_sub(read).into())?;
        // Chunks are padded to an even length; some writers leave the last padding out.
        if length % 2 == 1 {
            input.next_u8()?;
        }
    }
    match (flags & ANIMATION != 0, frames, bitstreams) {
        (true, 1.., 0) => Ok(Header { frames, ..header }),
        (false, _, 1) => Ok(header),
        (_, 0, 0) => Err(HeaderError::Truncated { format: SourceFormat::Webp.name() }),
        _ => broken("it mixes a still picture and an animation"),
    }
}

/// Reads the first 12 bytes of an ANMF chunk, and checks that the frame lies within the canvas (RFC 9649, section 2.7.1.1).
fn frame_on_canvas<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, canvas: (u32, u32)) -> Result<(), HeaderError> {
    let (left, top) = (2 * input.le24()?, 2 * input.le24()?);
    let (width, height) = (input.le24()? + 1, input.le24()? + 1);
    if left + width <= canvas.0 && top + height <= canvas.1 {
        Ok(())
    } else {
        broken("a frame lies outside of the canvas")
    }
}
