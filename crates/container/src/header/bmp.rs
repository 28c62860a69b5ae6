//! BMP: the Windows bitmap, from its OS/2 header to version 5.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, broken, input::Input, unreadable};
use darkroom_model::SourceFormat;

pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    input.skip_whole(14)?;
    let (width, height, bits, compression) = match input.le32()? {
        12 => {
            let (width, height) = (input.le16()?, input.le16()?);
            input.skip_whole(2)?;
            (width.into(), height.into(), input.le16()?, 0)
        }
        40..=124 => {
            let (width, height) = (input.le32()?, input.le32()?);
            input.skip_whole(2)?;
            // A negative height means that the first row is the topmost.
            (width, height.cast_signed().unsigned_abs(), input.le16()?, input.le32()?)
        }
        _ => return broken("its header has an impossible length"),
    };
    if width == 0 || height == 0 || width > i32::MAX.unsigned_abs() || height > i32::MAX.unsigned_abs() {
        return broken("its width or height is impossible");
    }
    match (bits, compression) {
        (1 | 2 | 4 | 8 | 16 | 24 | 32, 0) | (8, 1) | (4, 2) | (16 | 32, 3 | 6) => {}
        (_, 4 | 5) => return unreadable("a BMP that holds a JPEG or a PNG"),
        _ => return broken("its depth and its compression do not go together"),
    }
    Ok(Header { format: SourceFormat::Bmp, width, height, frames: 1, scans: 1, bits_per_pixel: 32 })
}
