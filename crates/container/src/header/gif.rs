//! GIF 87a and 89a (`CompuServe`, 1990): the Logical Screen Descriptor, and the number of Image Descriptors.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, byte_reader::ByteReader, error::broken};
use darkroom_model::SourceFormat;

/// Labels of blocks (appendix A).
const EXTENSION_INTRODUCER: u8 = 0x21;
const IMAGE_SEPARATOR: u8 = 0x2C;
const TRAILER: u8 = 0x3B;

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(b"GIF87a") || start.starts_with(b"GIF89a")
}

/// Frames may be larger than the logical screen or lie outside of it. They are decoded as a whole and clipped, so their own
/// pixels are limited too.
pub(super) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    // The Header, then the Logical Screen Descriptor (sections 17 and 18).
    input.skip_exact(6)?;
    let (mut width, mut height) = (input.le16()?, input.le16()?);
    let [flags, _, _] = input.array()?;
    input.skip_exact(color_table_size(flags))?;
    let mut frames: u32 = 0;
    let (mut decoded, mut largest): (u64, u64) = (0, 0);
    loop {
        match input.next_u8()? {
            Some(EXTENSION_INTRODUCER) => {
                input.skip_exact(1)?;
                skip_sub_blocks(input)?;
            }
            Some(IMAGE_SEPARATOR) => {
                frames += 1;
                limits.check(Limit::Frames, frames.into())?;
                input.skip_exact(4)?;
                let frame = (input.le16()?, input.le16()?);
                let pixels = u64::from(frame.0) * u64::from(frame.1);
                (decoded, largest) = (decoded + pixels, largest.max(pixels));
                limits.check(Limit::Pixels, decoded)?;
                if frames == 1 && (width == 0 || height == 0) {
                    // Browsers give a screen without size that of the first frame.
                    (width, height) = frame;
                }
                let flags = input.u8()?;
                input.skip_exact(color_table_size(flags) + 1)?;
                skip_sub_blocks(input)?;
            }
            // A missing trailer is accepted after at least one frame.
            Some(TRAILER) | None if frames > 0 => break,
            Some(TRAILER) => return broken("it has no frame"),
            None => return Err(HeaderError::Truncated { format: SourceFormat::Gif.name() }),
            Some(_) => return broken("it has a block of an unknown type"),
        }
    }
    if width == 0 || height == 0 {
        return broken("its width or height is 0");
    }
    Ok(Header {
        format: SourceFormat::Gif,
        width: width.into(),
        height: height.into(),
        frames,
        scans: 1,
        bits_per_pixel: 32,
        decoded_pixels: largest,
    })
}

/// The size in bytes of the colour table that the packed fields of a descriptor declare; 0 where there is none.
fn color_table_size(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

fn skip_sub_blocks<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(), HeaderError> {
    loop {
        match input.u8()? {
            0 => return Ok(()),
            length => input.skip(length.into())?,
        }
    }
}
