//! PNG and APNG (W3C PNG, third edition): the IHDR chunk, and the number of fcTL chunks.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, byte_reader::ByteReader, error::broken};
use darkroom_model::SourceFormat;

/// The PNG signature (section 5.2).
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(SIGNATURE)
}

pub(super) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    input.skip_exact(SIGNATURE.len() as u64)?;
    let (mut header, alpha_bits) = image_header(input)?;
    limits.check(Limit::Pixels, header.pixels())?;
    let mut declared_frames: Option<u32> = None;
    let mut frames: u32 = 0;
    // Whether an fcTL chunk waits for the first chunk of its data.
    let mut frame_begins = false;
    let (mut has_idat, mut has_trns) = (false, false);
    loop {
        let chunk = input.be32().and_then(|length| Ok((length, input.array::<4>()?)));
        // A still picture may lack what follows its pixels: browsers show it.
        let may_end = has_idat && declared_frames.is_none();
        let (length, kind) = match chunk {
            Err(HeaderError::Truncated { .. }) if may_end => break,
            chunk => chunk?,
        };
        if length > i32::MAX.unsigned_abs() || !kind.iter().all(u8::is_ascii_alphabetic) {
            return broken("a chunk is malformed");
        }
        let mut rest = u64::from(length) + 4; // the CRC
        match &kind {
            b"IHDR" => return broken("it has two header chunks"),
            b"IDAT" | b"fdAT" => {
                has_idat |= &kind == b"IDAT";
                if std::mem::take(&mut frame_begins) {
                    frames += 1;
                    limits.check(Limit::Frames, frames.into())?;
                }
            }
            b"tRNS" => has_trns = true,
            b"acTL" if !has_idat && length == 8 && declared_frames.is_none() => {
                declared_frames = Some(input.be32()?);
                rest -= 4;
            }
            b"fcTL" if length == 26 => {
                frame_begins = true;
                frame_control(input, &header)?;
                rest -= 20;
            }
            _ => {}
        }
        match input.skip_exact(rest) {
            Err(HeaderError::Truncated { .. }) if may_end && &kind != b"IDAT" => break,
            skipped => skipped?,
        }
        if &kind == b"IEND" {
            break;
        }
    }
    if !has_idat {
        return broken("it has no pixels");
    }
    if has_trns {
        header.bits_per_pixel += alpha_bits;
    }
    // Where the file declares another number of frames than it has, the smaller one counts, as in browsers. A number outside of
    // 31 bits declares no animation.
    header.frames = match declared_frames {
        Some(declared) if declared <= i32::MAX.unsigned_abs() => declared.min(frames).max(1),
        _ => 1,
    };
    Ok(header)
}

/// The IHDR chunk, which must be first, and the bits a pixel that a tRNS chunk would add (section 11.2.1).
fn image_header<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(Header, u32), HeaderError> {
    let length = input.be32()?;
    if length != 13 || input.array()? != *b"IHDR" {
        return broken("it does not begin with a header chunk");
    }
    let (width, height) = (input.be32()?, input.be32()?);
    let [depth, colour, compression, filter, interlace] = input.array()?;
    input.skip_exact(4)?;
    let bits = u32::from(depth.max(8));
    let (bits_per_pixel, alpha_bits) = match (colour, depth) {
        (0, 1 | 2 | 4 | 8 | 16) => (bits, bits),
        (2, 8 | 16) | (3, 1 | 2 | 4 | 8) => (3 * bits, bits),
        (4, 8 | 16) => (2 * bits, 0),
        (6, 8 | 16) => (4 * bits, 0),
        _ => return broken("its colour type and its bit depth do not match"),
    };
    if compression != 0 || filter != 0 || interlace > 1 {
        return broken("its compression, filter or interlace method is unknown");
    }
    if width == 0 || height == 0 || width > i32::MAX.unsigned_abs() || height > i32::MAX.unsigned_abs() {
        return broken("its width or height is out of range");
    }
    Ok((
        Header { format: SourceFormat::Png, width, height, frames: 1, scans: 1, bits_per_pixel, decoded_pixels: 0 },
        alpha_bits,
    ))
}

/// Reads the first 20 bytes of an fcTL chunk, and checks that the frame lies within the canvas (section 11.3.6.2).
fn frame_control<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, canvas: &Header) -> Result<(), HeaderError> {
    input.skip_exact(4)?;
    let (width, height) = (input.be32()?, input.be32()?);
    let (left, top) = (input.be32()?, input.be32()?);
    let inside = |start: u32, length: u32, end: u32| length > 0 && start.checked_add(length).is_some_and(|e| e <= end);
    if inside(left, width, canvas.width) && inside(top, height, canvas.height) {
        Ok(())
    } else {
        broken("a frame lies outside of the canvas")
    }
}
