//! PNG and APNG (W3C PNG, third edition): the header chunk, and the frames counted through all chunks.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, broken, input::Input};
use darkroom_model::SourceFormat;

pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, limits: &HeaderLimits) -> Result<Header, HeaderError> {
    input.skip_whole(8)?;
    let (mut header, alpha) = image_header(input)?;
    limits.check(Limit::Pixels, header.pixels())?;
    let mut declared: Option<u32> = None;
    let mut counted: u32 = 0;
    let (mut has_pixels, mut has_transparency) = (false, false);
    loop {
        let length = input.be32()?;
        let kind: [u8; 4] = input.array()?;
        if length > i32::MAX.unsigned_abs() || !kind.iter().all(u8::is_ascii_alphabetic) {
            return broken("a chunk is malformed");
        }
        let mut rest = u64::from(length) + 4; // the CRC
        match &kind {
            b"IHDR" => return broken("it has two header chunks"),
            b"IDAT" => has_pixels = true,
            b"tRNS" => has_transparency = true,
            b"acTL" if declared.is_some() => return broken("it declares its animation twice"),
            b"acTL" if !has_pixels && length == 8 => {
                declared = Some(input.be32()?);
                rest -= 4;
            }
            b"fcTL" if length == 26 => {
                counted += 1;
                limits.check(Limit::Frames, counted.into())?;
                frame_control(input, &header)?;
                rest -= 20;
            }
            _ => {}
        }
        input.skip_whole(rest)?;
        if &kind == b"IEND" {
            break;
        }
    }
    if !has_pixels {
        return broken("it has no pixels");
    }
    if has_transparency {
        header.bits_per_pixel += alpha;
    }
    if let Some(declared) = declared {
        if declared != counted {
            return broken(format!("it declares {declared} frames and has {counted}"));
        }
        header.frames = counted.max(1);
    }
    Ok(header)
}

/// The IHDR chunk, which must be first, and the bits a pixel that transparency would add.
fn image_header<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<(Header, u32), HeaderError> {
    let length = input.be32()?;
    if length != 13 || input.array()? != *b"IHDR" {
        return broken("it does not begin with a header chunk");
    }
    let (width, height) = (input.be32()?, input.be32()?);
    let [depth, colour, compression, filter, interlace] = input.array()?;
    input.skip_whole(4)?;
    let bits = u32::from(depth.max(8));
    let (bits_per_pixel, alpha) = match (colour, depth) {
        (0, 1 | 2 | 4 | 8 | 16) => (bits, bits),
        (2, 8 | 16) | (3, 1 | 2 | 4 | 8) => (3 * bits, bits),
        (4, 8 | 16) => (2 * bits, 0),
        (6, 8 | 16) => (4 * bits, 0),
        _ => return broken("its colour type and bit depth do not go together"),
    };
    if compression != 0 || filter != 0 || interlace > 1 {
        return broken("it names a compression that does not exist");
    }
    if width == 0 || height == 0 || width > i32::MAX.unsigned_abs() || height > i32::MAX.unsigned_abs() {
        return broken("its width or height is impossible");
    }
    Ok((Header { format: SourceFormat::Png, width, height, frames: 1, scans: 1, bits_per_pixel }, alpha))
}

/// The first 20 bytes of an fcTL chunk: a frame must lie on the canvas.
fn frame_control<R: BufRead + Seek>(input: &mut Input<'_, R>, canvas: &Header) -> Result<(), HeaderError> {
    input.skip_whole(4)?;
    let (width, height) = (input.be32()?, input.be32()?);
    let (left, top) = (input.be32()?, input.be32()?);
    let inside = |start: u32, length: u32, end: u32| length > 0 && start.checked_add(length).is_some_and(|e| e <= end);
    if inside(left, width, canvas.width) && inside(top, height, canvas.height) {
        Ok(())
    } else {
        broken("a frame lies outside of the canvas")
    }
}
