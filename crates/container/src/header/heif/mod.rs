//! AVIF and HEIC (AV1 Image File Format 1.1; HEIF, ISO/IEC 23008-12, over ISO/IEC 14496-12): the primary item or the tracks, the
//! extents of their data, and their properties.

mod box_reader;
mod brands;
mod clean_aperture;
mod meta_box;
mod sequence;

use std::io::{BufRead, Seek};

use darkroom_model::SourceFormat;

use self::{
    box_reader::BoxReader,
    meta_box::{MetaBox, MetaBytes, inconsistent},
};
use super::{
    Header, HeaderError, HeaderLimits, Limit,
    byte_reader::ByteReader,
    error::{broken, unsupported},
};

pub use self::{
    clean_aperture::Crop,
    sequence::{Sequence, SequenceFrame},
};

/// The longest `moov` box to read, in bytes: the sample tables of an animation.
const MAX_MOOV_LENGTH: u64 = 4 << 20;

/// How the pictures of a file are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// AV1: an AVIF.
    #[default]
    Av1,
    /// HEVC (ITU-T H.265): a HEIC.
    Hevc,
}

/// The picture of a file: its primary item, or its image sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// How its pictures are coded.
    pub coding: Coding,
    /// Width and height in pixels as coded (property `ispe`), before the clean aperture and `irot`. At least 1.
    pub coded_size: (u32, u32),
    /// The part of the coded picture that is shown (property `clap`); `None`: all of it.
    pub crop: Option<Crop>,
    /// Bits of a coded sample: 8, 10 or 12 (property `av1C` or `hvcC`).
    pub depth: u32,
    /// Whether there is luma only (property `av1C` or `hvcC`).
    pub monochrome: bool,
    /// The AV1 data of the colours. Empty for a sequence.
    pub colour: Coded,
    /// The AV1 data of the alpha channel (auxiliary item, reference `auxl`).
    pub alpha: Option<Coded>,
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
    /// The operating point of layered AV1 data (property `a1op`).
    pub operating_point: u8,
    /// The layer to show (property `lsel`); `None`: the last.
    pub layer: Option<u16>,
    /// The frames of an image sequence, which is shown instead of the still picture.
    pub sequence: Option<Sequence>,
}

/// The extents of an item: offsets from the start of the file and lengths, in bytes. Their data is concatenated.
pub type Extents = Vec<(u64, u64)>;

/// Coded pictures: a single one, or the tiles of a grid (ISO/IEC 23008-12, section 6.6.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coded {
    /// The data of the tiles, row by row.
    pub tiles: Vec<Extents>,
    /// Rows of tiles.
    pub rows: u32,
    /// Tiles in a row.
    pub columns: u32,
    /// Width and height of a tile in pixels. The last ones of rows and columns may exceed the picture.
    pub tile_size: (u32, u32),
}

impl Coded {
    fn single(extents: Extents, size: (u32, u32)) -> Self {
        Self { tiles: vec![extents], rows: 1, columns: 1, tile_size: size }
    }

    /// These tiles if they cover a picture of this size, and none lies outside of it.
    fn covering(self, (width, height): (u32, u32)) -> Result<Self, HeaderError> {
        let fits = |tiles: u32, tile: u32, whole: u32| {
            let (tiles, tile, whole) = (u64::from(tiles), u64::from(tile), u64::from(whole));
            tiles * tile >= whole && (tiles - 1) * tile < whole
        };
        if fits(self.columns, self.tile_size.0, width) && fits(self.rows, self.tile_size.1, height) {
            Ok(self)
        } else {
            Err(inconsistent())
        }
    }

    /// The pixels of all tiles.
    fn pixels(&self) -> u64 {
        u64::from(self.tile_size.0) * u64::from(self.tile_size.1) * self.tiles.len() as u64
    }
}

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

/// `ftyp` is the first box, and its major brand that of a HEIC. Others with a HEIC's pictures are found as AVIF files are.
pub(in crate::header) fn has_heic_signature(start: &[u8]) -> bool {
    has_signature(start) && start.get(8..12).is_some_and(brands::is_heic)
}

/// `ftyp` is the first box. Its brands decide between AVIF and other formats: see [`brands`].
pub(in crate::header) fn has_signature(start: &[u8]) -> bool {
    start.get(4..8) == Some(b"ftyp")
}

/// Reads the header of a box: its type, and the length of its body, up to `end` where the box has no size. The lengths of 64 bits
/// are those that the file can have: a longer one is an error here and reaches no seek.
fn read_box_header<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, end: u64) -> Result<([u8; 4], u64), HeaderError> {
    let size = input.be32()?;
    let kind: [u8; 4] = input.array()?;
    let (header_length, size) = match size {
        0 => return Ok((kind, end.saturating_sub(input.position()?))),
        1 => (16, input.be64()?),
        size => (8, size.into()),
    };
    let Some(length) = size.checked_sub(header_length) else { return broken("a box is shorter than its header") };
    if length > end {
        return Err(HeaderError::Truncated { format: SourceFormat::Avif.name() });
    }
    Ok((kind, length))
}

/// Reads the boxes of the file, up to `meta` for a still picture.
pub(in crate::header) fn layout<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Layout, HeaderError> {
    let is_sequence = brands::read(input)?.is_sequence;
    let start = input.position()?;
    let end = input.seek_to_end()?;
    input.seek_to(start)?;
    let truncated = || HeaderError::Truncated { format: SourceFormat::Avif.name() };
    let (mut meta, mut moov) = (None, None);
    while input.position()? < end && (meta.is_none() || (is_sequence && moov.is_none())) {
        let (kind, length) = read_box_header(input, end)?;
        let body_end = input.position()? + length;
        match &kind {
            b"meta" if meta.is_none() => {
                if body_end > end {
                    return Err(truncated());
                }
                meta = Some(MetaBytes::read(input, start, body_end)?);
            }
            b"moov" if moov.is_none() => {
                if length > MAX_MOOV_LENGTH {
                    return broken("its moov box is too large");
                }
                moov = Some(input.bytes(usize::try_from(length).unwrap_or(usize::MAX))?);
            }
            b"mini" => return unsupported("an AVIF in the minimized form"),
            _ => {}
        }
        if body_end > end {
            break;
        }
        input.seek_to(body_end)?;
    }
    let meta = meta.as_ref().map(MetaBox::parse).transpose();
    let sequence = moov.as_deref().and_then(|moov| sequence::layout(BoxReader(moov)));
    let mut layout = match (meta, sequence) {
        (Ok(meta), Some(sequence)) if is_sequence || !meta.as_ref().is_some_and(MetaBox::has_primary) => {
            let exif = meta.and_then(|meta| meta.exif());
            Layout { exif, ..sequence }
        }
        (Ok(Some(meta)), _) => meta.layout(&mut |extents| read_extents(input, start, extents))?,
        (Err(_), Some(sequence)) if is_sequence => sequence,
        (Err(error), _) => return Err(error),
        (Ok(None), _) => return Err(truncated()),
    };
    check_extents(&layout, end - start)?;
    // Browsers apply a clean aperture of an AVIF that begins in the corner, and ignore others. Viewers of HEIC apply all.
    layout.crop = layout.crop.filter(|crop| layout.coding == Coding::Hevc || (crop.left, crop.top) == (0, 0));
    Ok(layout)
}

/// The data of a grid item, which has at most 12 bytes.
fn read_extents<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    start: u64,
    extents: &Extents,
) -> Result<Vec<u8>, HeaderError> {
    const MAX_LENGTH: u64 = 12;
    let mut data = Vec::new();
    for (offset, length) in extents {
        if *length > MAX_LENGTH || data.len() as u64 > MAX_LENGTH {
            return Err(inconsistent());
        }
        input.seek_to(start.checked_add(*offset).ok_or_else(inconsistent)?)?;
        data.extend(input.bytes(usize::try_from(*length).unwrap_or(0))?);
    }
    Ok(data)
}

/// Checks that the coded data lies in the file, which has this length in bytes. Pictures may share small data, as equal tiles do;
/// where they share much, a small file would cost the time of a large one.
fn check_extents(layout: &Layout, file_length: u64) -> Result<(), HeaderError> {
    const MAX_SHARED: u64 = 64 << 10;
    let items = std::iter::once(&layout.colour).chain(&layout.alpha).map(|coded| coded.tiles.concat());
    let frames = || layout.sequence.iter().flat_map(|sequence| &sequence.frames);
    let colours: Extents = frames().map(|frame| frame.colour).collect();
    let alphas: Extents = frames().filter_map(|frame| frame.alpha).collect();
    for extents in items.chain([colours, alphas]) {
        let is_outside =
            |(offset, length): &(u64, u64)| offset.checked_add(*length).is_none_or(|stop| stop > file_length);
        if extents.iter().any(is_outside) {
            return Err(HeaderError::Truncated { format: SourceFormat::Avif.name() });
        }
        let total: u64 = extents.iter().map(|(_, length)| length).sum();
        if total > file_length + MAX_SHARED * extents.len() as u64 {
            return broken("the extents of its data overlap");
        }
    }
    Ok(())
}

pub(in crate::header) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    let layout = layout(input)?;
    let has_alpha = match &layout.sequence {
        Some(sequence) => sequence.frames.iter().any(|frame| frame.alpha.is_some()),
        None => layout.alpha.is_some(),
    };
    let channels = if layout.monochrome { 1 } else { 3 } + u32::from(has_alpha);
    let frames = layout.sequence.as_ref().map_or(1, |sequence| sequence.frames.len());
    let (width, height) = layout.size();
    let coded = u64::from(layout.coded_size.0) * u64::from(layout.coded_size.1);
    let header = Header {
        format: match layout.coding {
            Coding::Av1 => SourceFormat::Avif,
            Coding::Hevc => SourceFormat::Heic,
        },
        width,
        height,
        frames: u32::try_from(frames).unwrap_or(u32::MAX),
        scans: 1,
        bits_per_pixel: channels * if layout.depth > 8 { 16 } else { 8 },
        decoded_pixels: layout.colour.pixels().max(coded),
    };
    limits.check(Limit::Frames, header.frames.into())?;
    Ok(header)
}

impl Layout {
    /// Width and height of the picture that is shown, before `irot`.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.crop.map_or(self.coded_size, |crop| (crop.width, crop.height))
    }

    /// Takes those properties of a tile that its grid lacks.
    fn inherit(&mut self, tile: &Self) {
        (self.coding, self.depth, self.monochrome) = (tile.coding, tile.depth, tile.monochrome);
        self.operating_point = tile.operating_point;
        self.layer = tile.layer;
        if self.nclx.is_none() && self.profile.is_none() {
            (self.nclx, self.profile) = (tile.nclx, tile.profile.clone());
        }
    }

    /// Reads an item property (ISO/IEC 23008-12, section 6.5).
    fn property(&mut self, kind: [u8; 4], mut body: BoxReader<'_>) -> Option<()> {
        match &kind {
            b"ispe" => {
                body.full_box()?;
                self.coded_size = (body.u32()?, body.u32()?);
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
            // HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 8.3.2.1): chroma format and luma depth.
            b"hvcC" => {
                let fields = body.take(18)?;
                let chroma_format = fields[16] & 3;
                self.coding = Coding::Hevc;
                self.monochrome = chroma_format == 0;
                self.depth = u32::from(fields[17] & 7) + 8;
            }
            b"irot" => self.turns = body.u8()? & 3,
            b"imir" => self.mirror = Some(body.u8()? & 1),
            b"a1op" => self.operating_point = body.u8()?,
            b"lsel" => self.layer = Some(body.u16()?).filter(|layer| *layer != u16::MAX),
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
