//! TIFF (revision 6.0): the first image file directory (IFD). Raw files of cameras, which are TIFF files too, are detected and
//! refused, because their first picture is a small preview.

use std::io::{BufRead, Seek};

use super::{
    Header, HeaderError, HeaderLimits,
    byte_reader::ByteReader,
    error::{broken, unsupported},
};
use darkroom_model::SourceFormat;

/// The most directory entries to read; files have about twenty.
const MAX_ENTRIES: u16 = 1_024;

/// Tags (section 8; `DNGVersion`: DNG 1.7).
const NEW_SUBFILE_TYPE: u16 = 254;
const IMAGE_WIDTH: u16 = 256;
const IMAGE_LENGTH: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const SAMPLES_PER_PIXEL: u16 = 277;
const TILE_WIDTH: u16 = 322;
const TILE_LENGTH: u16 = 323;
const DNG_VERSION: u16 = 50_706;

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(b"II*\0") || start.starts_with(b"MM\0*")
}

pub(super) fn read<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let start = input.position()?;
    let big_endian = input.array()? == *b"MM\0*";
    let ifd_offset = u64::from(long(input, big_endian)?);
    // Canon's CR2.
    if input.array()? == *b"CR\x02\0" {
        return unsupported("a camera's raw file");
    }
    let end = input.seek_to_end()?;
    if start + ifd_offset >= end {
        return Err(HeaderError::Truncated { format: SourceFormat::Tiff.name() });
    }
    input.seek_to(start + ifd_offset)?;
    let count = short(input, big_endian)?;
    if count == 0 || count > MAX_ENTRIES {
        return broken("its directory has an invalid number of entries");
    }
    let (mut width, mut height, mut bits, mut samples, mut bits_offset) = (0, 0, 1, 1, None);
    let (mut tile_width, mut tile_length) = (0_u32, 0_u32);
    for _ in 0..count {
        let (tag, field_type) = (short(input, big_endian)?, short(input, big_endian)?);
        let values = long(input, big_endian)?;
        let field: [u8; 4] = input.array()?;
        let value = match (field_type, big_endian) {
            // BYTE, SHORT, else LONG or an offset.
            (1, _) => u32::from(field[0]),
            (3, true) => u32::from(u16::from_be_bytes([field[0], field[1]])),
            (3, false) => u32::from(u16::from_le_bytes([field[0], field[1]])),
            (_, true) => u32::from_be_bytes(field),
            (_, false) => u32::from_le_bytes(field),
        };
        match tag {
            // Bit 0: a reduced-resolution version of another picture.
            NEW_SUBFILE_TYPE if value & 1 == 1 => return unsupported("a camera's raw file"),
            IMAGE_WIDTH => width = value,
            IMAGE_LENGTH => height = value,
            // More than two values do not fit into the field: it has their offset.
            BITS_PER_SAMPLE if values > 2 => {
                bits_offset =
                    Some(u64::from(if big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }));
            }
            BITS_PER_SAMPLE => bits = value,
            // The `image` crate decodes some of these wrongly.
            COMPRESSION if matches!(value, 6 | 7) => return unsupported("a TIFF that holds a JPEG"),
            SAMPLES_PER_PIXEL => samples = value,
            TILE_WIDTH => tile_width = value,
            TILE_LENGTH => tile_length = value,
            DNG_VERSION => return unsupported("a camera's raw file"),
            _ => {}
        }
    }
    if let Some(offset) = bits_offset {
        input.seek_to(start + offset)?;
        bits = short(input, big_endian)?.into();
    }
    if width == 0 || height == 0 {
        return broken("its width or height is 0");
    }
    if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 32 | 64) || !(1..=16).contains(&samples) {
        return unsupported("a TIFF of an unusual depth");
    }
    let bits_per_pixel = samples * bits.max(8);
    // A tile is decoded as a whole, also where it reaches beyond the picture (section 15). A strip never does.
    let decoded_pixels = u64::from(tile_width) * u64::from(tile_length);
    Ok(Header { format: SourceFormat::Tiff, width, height, frames: 1, scans: 1, bits_per_pixel, decoded_pixels })
}

fn short<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, big_endian: bool) -> Result<u16, HeaderError> {
    if big_endian { input.be16() } else { input.le16() }
}

fn long<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, big_endian: bool) -> Result<u32, HeaderError> {
    if big_endian { input.be32() } else { input.le32() }
}
