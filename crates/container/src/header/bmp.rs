//! BMP (Windows bitmap): the file header and the DIB header, from `BITMAPCOREHEADER` to `BITMAPV5HEADER`.

use std::io::{BufRead, Seek};

use super::{
    Header, HeaderError, HeaderLimits,
    byte_reader::ByteReader,
    error::{broken, unsupported},
};
use darkroom_model::SourceFormat;

/// Two letters alone are a weak signature: the reserved bytes must be zero too, and the DIB header must have a known length.
pub(super) fn has_signature(start: &[u8]) -> bool {
    matches!(start, [b'B', b'M', _, _, _, _, 0, 0, 0, 0, _, _, _, _, 12 | 40..=124, 0, ..])
}

pub(super) fn read<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    input.skip_exact(14)?;
    let (width, height, bits, compression) = match input.le32()? {
        12 => {
            let (width, height) = (input.le16()?, input.le16()?);
            input.skip_exact(2)?;
            (width.into(), height.into(), input.le16()?, 0)
        }
        40..=124 => {
            let (width, height) = (input.le32()?, input.le32()?);
            input.skip_exact(2)?;
            // A negative height means that rows run from top to bottom.
            (width, height.cast_signed().unsigned_abs(), input.le16()?, input.le32()?)
        }
        _ => return broken("its header has an invalid length"),
    };
    if width == 0 || height == 0 || width > i32::MAX.unsigned_abs() || height > i32::MAX.unsigned_abs() {
        return broken("its width or height is out of range");
    }
    // BI_RGB 0, BI_RLE8 1, BI_RLE4 2, BI_BITFIELDS 3, BI_JPEG 4, BI_PNG 5, BI_ALPHABITFIELDS 6.
    match (bits, compression) {
        (1 | 2 | 4 | 8 | 16 | 24 | 32, 0) | (8, 1) | (4, 2) | (16 | 32, 3 | 6) => {}
        (_, 4 | 5) => return unsupported("a BMP that holds a JPEG or a PNG"),
        _ => return broken("its bit depth and its compression do not match"),
    }
    Ok(Header { format: SourceFormat::Bmp, width, height, frames: 1, scans: 1, bits_per_pixel: 32, decoded_pixels: 0 })
}
