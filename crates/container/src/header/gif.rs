//! GIF 87a and 89a (`CompuServe`, 1990): the screen, and the frames counted through all blocks.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, broken, input::Input};
use darkroom_model::SourceFormat;

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;

/// A frame may be larger than the screen or lie outside of it; it is decoded whole and shown in part. So each frame
/// must stay within the limits by itself too.
pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, limits: &HeaderLimits) -> Result<Header, HeaderError> {
    input.skip_whole(6)?;
    let (mut width, mut height) = (input.le16()?, input.le16()?);
    let [flags, _, _] = input.array()?;
    input.skip_whole(color_table(flags))?;
    let mut frames: u32 = 0;
    let mut decoded: u64 = 0;
    loop {
        match input.maybe_u8()? {
            Some(EXTENSION) => {
                input.skip_whole(1)?;
                skip_sub_blocks(input)?;
            }
            Some(IMAGE) => {
                frames += 1;
                limits.check(Limit::Frames, frames.into())?;
                input.skip_whole(4)?;
                let frame = (input.le16()?, input.le16()?);
                decoded += u64::from(frame.0) * u64::from(frame.1);
                limits.check(Limit::Pixels, decoded)?;
                if frames == 1 && (width == 0 || height == 0) {
                    // As browsers do: a missing screen is as large as the first frame.
                    (width, height) = frame;
                }
                let flags = input.u8()?;
                input.skip_whole(color_table(flags) + 1)?;
                skip_sub_blocks(input)?;
            }
            // A missing trailer does no harm once there is a frame.
            Some(TRAILER) | None if frames > 0 => break,
            Some(TRAILER) => return broken("it has no frame"),
            None => return Err(HeaderError::Truncated { format: "GIF" }),
            Some(_) => return broken("an unknown block"),
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
    })
}

/// Bytes of the colour table that the flags announce.
fn color_table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

fn skip_sub_blocks<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<(), HeaderError> {
    loop {
        match input.u8()? {
            0 => return Ok(()),
            length => input.skip(length.into())?,
        }
    }
}
