//! JPEG XL (ISO/IEC 18181): the size at the codestream's start, alone or in its container.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, broken, input::Input};
use darkroom_model::SourceFormat;

/// More than the size and the orientation can take.
const START: usize = 24;

/// The size is the upright one: the decoder applies the orientation, which the format makes part of the picture.
pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let magic: [u8; 2] = input.array()?;
    if magic != [0xFF, 0x0A] {
        input.skip_whole(10)?;
        find_codestream(input)?;
    }
    let mut start = Vec::with_capacity(START);
    while start.len() < START
        && let Some(byte) = input.maybe_u8()?
    {
        start.push(byte);
    }
    let Some((width, height)) = Bits { bytes: &start, at: 0 }.size() else {
        return Err(HeaderError::Truncated { format: "JPEG XL" });
    };
    // Decoded to four floats a pixel.
    Ok(Header { format: SourceFormat::Jxl, width, height, frames: 1, scans: 1, bits_per_pixel: 128 })
}

/// Moves behind the codestream's signature in the first box that has a part of it (18181-2, section 4).
fn find_codestream<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<(), HeaderError> {
    loop {
        let size = u64::from(input.be32()?);
        let kind: [u8; 4] = input.array()?;
        let length = match size {
            // To the end of the file.
            0 => u64::MAX,
            1 => input.be64()?.saturating_sub(16),
            size => match size.checked_sub(8) {
                Some(length) => length,
                None => return broken("a box is shorter than its own head"),
            },
        };
        match &kind {
            b"jxlp" => input.skip_whole(4)?,
            b"jxlc" => {}
            _ if length == u64::MAX => return Err(HeaderError::Truncated { format: "JPEG XL" }),
            _ => {
                input.skip(length)?;
                continue;
            }
        }
        return if input.array()? == [0xFF, 0x0A] { Ok(()) } else { broken("its codestream has no signature") };
    }
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Some(value)
    }

    /// `SizeHeader` (18181-1, section 9.2), and the orientation that follows.
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
        let turned = !all_default && self.read(1)? == 1 && self.read(3)? >= 4;
        Some(if turned { (height, width) } else { (width, height) })
    }

    fn side(&mut self, small: bool) -> Option<u32> {
        if small {
            return Some((self.read(5)? + 1) * 8);
        }
        let bits = [9, 13, 18, 30][self.read(2)? as usize];
        Some(self.read(bits)? + 1)
    }
}
