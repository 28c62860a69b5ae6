//! AVIF (AV1 Image File Format 1.1, over HEIF, ISO/IEC 23008-12, and ISO/IEC 14496-12): the primary item, the extents of its
//! data, and its properties.
//!
//! Only pictures of a single item are supported. Of an image sequence the still picture is read, which it must contain too; a
//! picture derived from tiles (`grid`) is refused.

mod box_reader;
mod brands;
mod meta_box;

use std::io::{BufRead, Seek};

use darkroom_model::SourceFormat;

use self::{box_reader::BoxReader, brands::check_brands, meta_box::MetaBox};
use super::{Header, HeaderError, HeaderLimits, byte_reader::ByteReader, error::broken};

/// The longest `meta` box to read, in bytes. Its only large part is an ICC profile.
const MAX_META_LENGTH: u64 = 2 << 20;

/// The primary item of an AVIF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Width in pixels as stored, before `irot` (property `ispe`).
    pub width: u32,
    /// Height in pixels as stored, before `irot` (property `ispe`).
    pub height: u32,
    /// Bits of a coded sample: 8, 10 or 12 (property `av1C`).
    pub depth: u32,
    /// Whether there is luma only (property `av1C`).
    pub monochrome: bool,
    /// The AV1 data of the colours.
    pub colour: Extents,
    /// The AV1 data of the alpha channel (auxiliary item, reference `auxl`).
    pub alpha: Option<Extents>,
    /// Whether colours are premultiplied by alpha (reference `prem`).
    pub premultiplied: bool,
    /// The property `colr` of type `nclx`.
    pub nclx: Option<Nclx>,
    /// The ICC profile (property `colr` of type `prof` or `rICC`).
    pub profile: Option<Vec<u8>>,
    /// The EXIF item (reference `cdsc`). Its extents are not checked against the length of the file.
    pub exif: Option<Extents>,
    /// Quarter turns anticlockwise, 0 to 3 (property `irot`).
    pub turns: u8,
    /// The axis of mirroring, which follows the turns: 0 exchanges top and bottom, 1 left and right (property `imir`).
    pub mirror: Option<u8>,
}

/// The extents of an item: offsets from the start of the file and lengths, in bytes. Their data is concatenated.
pub type Extents = Vec<(u64, u64)>;

/// Concatenates the data of extents. `None` if one exceeds the file, or if overlapping extents have more bytes than the file.
#[must_use]
pub fn concat_extents(file: &[u8], extents: &[(u64, u64)]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for (offset, length) in extents {
        let end = usize::try_from(offset.checked_add(*length)?).ok()?;
        let part = file.get(usize::try_from(*offset).ok()?..end)?;
        if data.len() + part.len() > file.len() {
            return None;
        }
        data.extend_from_slice(part);
    }
    Some(data)
}

/// Coding-independent code points (ITU-T H.273).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nclx {
    /// Colour primaries.
    pub primaries: u16,
    /// Transfer characteristics.
    pub transfer: u16,
    /// Matrix coefficients.
    pub matrix: u16,
    /// Whether samples use the full range.
    pub full_range: bool,
}

/// `ftyp` is the first box. Its brands decide between AVIF and other formats: see [`check_brands`].
pub(in crate::header) fn has_signature(start: &[u8]) -> bool {
    start.get(4..8) == Some(b"ftyp")
}

/// Reads boxes up to and including `meta`.
pub(in crate::header) fn layout<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Layout, HeaderError> {
    let start = input.position()?;
    loop {
        let box_start = input.position()?;
        if input.at_end()? {
            return Err(HeaderError::Truncated { format: SourceFormat::Avif.name() });
        }
        let size = u64::from(input.be32()?);
        let kind: [u8; 4] = input.array()?;
        let (header_length, size) = match size {
            0 => return broken("it has no meta box"),
            1 => (16, input.be64()?),
            size => (8, size),
        };
        let Some(length) = size.checked_sub(header_length) else { return broken("a box is shorter than its header") };
        if &kind == b"meta" {
            if length > MAX_META_LENGTH {
                return broken("its meta box is too large");
            }
            let body_start = box_start + header_length - start;
            let body = input.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
            let layout = MetaBox::parse(&body, body_start)?.layout()?;
            let end = input.seek_to_end()? - start;
            for extents in std::iter::once(&layout.colour).chain(&layout.alpha) {
                if extents.iter().any(|(offset, length)| offset.checked_add(*length).is_none_or(|stop| stop > end)) {
                    return Err(HeaderError::Truncated { format: SourceFormat::Avif.name() });
                }
                // Extents that overlap could have more bytes than the file.
                if extents.iter().map(|(_, length)| length).sum::<u64>() > end {
                    return broken("the extents of its data overlap");
                }
            }
            return Ok(layout);
        }
        input.skip(length)?;
    }
}

pub(in crate::header) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    _: &HeaderLimits,
) -> Result<Header, HeaderError> {
    check_brands(input)?;
    let layout = layout(input)?;
    let channels = if layout.monochrome { 1 } else { 3 } + u32::from(layout.alpha.is_some());
    Ok(Header {
        format: SourceFormat::Avif,
        width: layout.width,
        height: layout.height,
        frames: 1,
        scans: 1,
        bits_per_pixel: channels * if layout.depth > 8 { 16 } else { 8 },
        decoded_pixels: 0,
    })
}

impl Layout {
    /// Reads an item property (ISO/IEC 23008-12, section 6.5).
    fn property(&mut self, kind: [u8; 4], mut body: BoxReader<'_>) -> Option<()> {
        match &kind {
            b"ispe" => {
                body.full_box()?;
                (self.width, self.height) = (body.u32()?, body.u32()?);
            }
            b"av1C" => {
                let flags = *body.take(4)?.get(2)?;
                self.depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
                    (false, _) => 8,
                    (true, false) => 10,
                    (true, true) => 12,
                };
                self.monochrome = flags & 0x10 != 0;
            }
            b"irot" => self.turns = body.u8()? & 3,
            b"imir" => self.mirror = Some(body.u8()? & 1),
            b"colr" => match body.take(4)? {
                b"nclx" if self.nclx.is_none() => {
                    let (primaries, transfer, matrix) = (body.u16()?, body.u16()?, body.u16()?);
                    self.nclx = Some(Nclx { primaries, transfer, matrix, full_range: body.u8()? & 0x80 != 0 });
                }
                b"prof" | b"rICC" if self.profile.is_none() => self.profile = Some(body.0.to_vec()),
                _ => {}
            },
            _ => {}
        }
        Some(())
    }
}
