//! JPEG XL (ISO/IEC 18181): the size and orientation at the start of the codestream, bare or in its container.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, byte_reader::ByteReader, error::broken};
use darkroom_model::SourceFormat;

/// The signature of a codestream (18181-1).
const CODESTREAM: [u8; 2] = [0xFF, 0x0A];
/// The signature box of a container (18181-2, section 4).
const CONTAINER: &[u8] = b"\0\0\0\x0CJXL \r\n\x87\n";

/// Bytes to read after the signature: more than `SizeHeader` and orientation can occupy.
const START: usize = 24;

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(&CODESTREAM) || start.starts_with(CONTAINER)
}

/// Width and height are those after orientation, which the decoder applies because the codestream contains it.
pub(super) fn read<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let magic: [u8; 2] = input.array()?;
    if magic != CODESTREAM {
        input.skip_exact(10)?;
        find_codestream(input)?;
    }
    let mut start = Vec::with_capacity(START);
    while start.len() < START
        && let Some(byte) = input.next_u8()?
    {
        start.push(byte);
    }
    let Some((width, height)) = BitReader { bytes: &start, position: 0 }.size() else {
        return Err(HeaderError::Truncated { format: SourceFormat::Jxl.name() });
    };
    // The decoder makes four `f32` a pixel.
    Ok(Header { format: SourceFormat::Jxl, width, height, frames: 1, scans: 1, bits_per_pixel: 128, decoded_pixels: 0 })
}

/// Skips to the codestream in the first box that has a part of it, and past its signature (18181-2, section 4).
fn find_codestream<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(), HeaderError> {
    loop {
        let size = u64::from(input.be32()?);
        let kind: [u8; 4] = input.array()?;
        let length = match size {
            // The box extends to the end of the file.
            0 => u64::MAX,
            1 => input.be64()?.saturating_sub(16),
            size => match size.checked_sub(8) {
                Some(length) => length,
                None => return broken("a box is shorter than its header"),
            },
        };
        match &kind {
            b"jxlp" => input.skip_exact(4)?,
            b"jxlc" => {}
            _ if length == u64::MAX => return Err(HeaderError::Truncated { format: SourceFormat::Jxl.name() }),
            _ => {
                input.skip(length)?;
                continue;
            }
        }
        return if input.array()? == CODESTREAM { Ok(()) } else { broken("its codestream has no signature") };
    }
}

/// Reads bits, the least significant of each byte first.
struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

impl BitReader<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            value |= u32::from(byte >> (self.position % 8) & 1) << i;
            self.position += 1;
        }
        Some(value)
    }

    /// Width and height from `SizeHeader`, exchanged if the orientation that follows is a transposition (18181-1, section 9.2).
    fn size(&mut self) -> Option<(u32, u32)> {
        let small = self.read(1)? == 1;
        let height = self.side(small)?;
        let width = match self.read(3)? {
            0 => self.side(small)?,
            ratio => {
                let (across, down) = [(1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)][ratio as usize - 1];
                u32::try_from(u64::from(height) * across / down).ok()?
            }
        };
        let all_default = self.read(1)? == 1;
        let is_transposed = !all_default && self.read(1)? == 1 && self.read(3)? >= 4;
        Some(if is_transposed { (height, width) } else { (width, height) })
    }

    /// A width or a height; `small` ones are multiples of 8.
    fn side(&mut self, small: bool) -> Option<u32> {
        if small {
            return Some((self.read(5)? + 1) * 8);
        }
        let bits = [9, 13, 18, 30][self.read(2)? as usize];
        Some(self.read(bits)? + 1)
    }
}
