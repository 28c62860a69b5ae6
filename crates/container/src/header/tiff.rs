//! TIFF (revision 6.0): the first directory. A camera's raw file, which is a TIFF too, is told apart and refused: its
//! first picture is a small preview.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, broken, input::Input, unreadable};
use darkroom_model::SourceFormat;

/// The most entries that are looked at; real files have about twenty.
const MAX_ENTRIES: u16 = 1_024;

pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let start = input.position()?;
    let big_endian = input.array()? == *b"MM\0*";
    let directory = u64::from(long(input, big_endian)?);
    if input.array()? == *b"CR\x02\0" {
        return unreadable("a camera's raw file");
    }
    let end = input.end()?;
    if start + directory >= end {
        return Err(HeaderError::Truncated { format: "TIFF" });
    }
    input.move_to(start + directory)?;
    let count = short(input, big_endian)?;
    if count == 0 || count > MAX_ENTRIES {
        return broken("its directory is impossible");
    }
    let (mut width, mut height, mut bits, mut samples, mut bits_at) = (0, 0, 1, 1, None);
    for _ in 0..count {
        let (tag, kind) = (short(input, big_endian)?, short(input, big_endian)?);
        let values = long(input, big_endian)?;
        let field: [u8; 4] = input.array()?;
        let value = match (kind, big_endian) {
            (1, _) => u32::from(field[0]),
            (3, true) => u32::from(u16::from_be_bytes([field[0], field[1]])),
            (3, false) => u32::from(u16::from_le_bytes([field[0], field[1]])),
            (_, true) => u32::from_be_bytes(field),
            (_, false) => u32::from_le_bytes(field),
        };
        match tag {
            // NewSubfileType: a smaller version of another picture.
            254 if value & 1 == 1 => return unreadable("a camera's raw file"),
            256 => width = value,
            257 => height = value,
            258 if values > 2 => {
                bits_at =
                    Some(u64::from(if big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }));
            }
            258 => bits = value,
            // The decoder at hand reads some of these wrongly.
            259 if matches!(value, 6 | 7) => return unreadable("a TIFF that holds a JPEG"),
            277 => samples = value,
            // DNGVersion
            50_706 => return unreadable("a camera's raw file"),
            _ => {}
        }
    }
    if let Some(at) = bits_at {
        input.move_to(start + at)?;
        bits = short(input, big_endian)?.into();
    }
    if width == 0 || height == 0 {
        return broken("its width or height is 0");
    }
    if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 32 | 64) || !(1..=16).contains(&samples) {
        return unreadable("a TIFF of an unusual depth");
    }
    let bits_per_pixel = samples * bits.max(8);
    Ok(Header { format: SourceFormat::Tiff, width, height, frames: 1, scans: 1, bits_per_pixel })
}

fn short<R: BufRead + Seek>(input: &mut Input<'_, R>, big_endian: bool) -> Result<u16, HeaderError> {
    if big_endian { input.be16() } else { input.le16() }
}

fn long<R: BufRead + Seek>(input: &mut Input<'_, R>, big_endian: bool) -> Result<u32, HeaderError> {
    if big_endian { input.be32() } else { input.le32() }
}
