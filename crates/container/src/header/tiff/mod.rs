//! TIFF (revision 6.0): the image file directory (IFD) of its picture. Raw files of cameras, which are TIFF files too, are detected
//! and refused.

mod directory;
mod layout;

use std::io::{BufRead, Seek};

use darkroom_model::SourceFormat;

use self::directory::Directories;
pub use self::{
    directory::Values,
    layout::{Alpha, Chunks, Compression, Layout, Photometric},
};
use super::{Header, HeaderError, HeaderLimits, byte_reader::ByteReader, error::unsupported};

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(b"II*\0") || start.starts_with(b"MM\0*")
}

pub(super) fn read<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let layout = layout(input)?;
    Ok(Header {
        format: SourceFormat::Tiff,
        width: layout.width,
        height: layout.height,
        frames: 1,
        scans: 1,
        bits_per_pixel: layout.bits_per_pixel(),
        // A tile is decoded as a whole, also where it reaches beyond the picture (section 15). A strip never does.
        decoded_pixels: layout.chunk_pixels(),
    })
}

/// Reads the directory of the picture.
pub(super) fn layout<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Layout, HeaderError> {
    let start = input.position()?;
    let big_endian = input.array()? == *b"MM\0*";
    let first_directory = if big_endian { input.be32()? } else { input.le32()? };
    // Canon's CR2.
    if input.array()? == *b"CR\x02\0" {
        return unsupported("a camera's raw file");
    }
    let length = input.seek_to_end()?.saturating_sub(start);
    let mut file = Directories { input, start, length, big_endian };
    let directory = file.picture(first_directory)?;
    layout::read(&mut file, &directory)
}
