//! AVIF (AV1 Image File Format 1.1 over ISO/IEC 23008-12): which item is the picture, where its bytes lie, and the
//! properties that say how it is shown.
//!
//! Only single-item pictures are read. An image sequence is taken for the still picture that it must also hold; a
//! picture put together from tiles (`grid`) is refused.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, broken, input::Input, unreadable};
use darkroom_model::SourceFormat;

/// The most that the `meta` box may have, in bytes: its one large part is an ICC profile.
const MAX_META: u64 = 2 << 20;

/// The most items, properties and extents that are looked at. Real pictures have about ten.
const MAX_ENTRIES: usize = 4_096;

/// What the container says of its picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Pixels as stored: the picture's own `ispe`.
    pub width: u32,
    /// Pixels as stored.
    pub height: u32,
    /// Bits of a coded sample: 8, 10 or 12.
    pub depth: u32,
    /// Without colour.
    pub monochrome: bool,
    /// Where the AV1 data lies in the file.
    pub colour: Extents,
    /// Where the alpha plane's AV1 data lies.
    pub alpha: Option<Extents>,
    /// Colours are multiplied by alpha already (`prem`).
    pub premultiplied: bool,
    /// The `nclx` colour property.
    pub nclx: Option<Nclx>,
    /// The ICC profile, where there is one.
    pub profile: Option<Vec<u8>>,
    /// Where its EXIF lies, where there is some: not checked to lie in the file.
    pub exif: Option<Extents>,
    /// Quarter turns, anticlockwise (`irot`): 0 to 3.
    pub turns: u8,
    /// The axis of mirroring (`imir`), done after the turns: 0 exchanges top and bottom, 1 left and right.
    pub mirror: Option<u8>,
}

/// Offsets from the file's start and lengths, in bytes, of parts that belong one behind the other.
pub type Extents = Vec<(u64, u64)>;

/// The bytes of these parts, one behind the other; `None` where one lies outside of the file, or where they overlap so that
/// they have more than it.
#[must_use]
pub fn join(file: &[u8], extents: &[(u64, u64)]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for (offset, length) in extents {
        let end = usize::try_from(offset.checked_add(*length)?).ok()?;
        let part = file.get(usize::try_from(*offset).ok()?..end)?;
        if joined.len() + part.len() > file.len() {
            return None;
        }
        joined.extend_from_slice(part);
    }
    Some(joined)
}

/// Code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nclx {
    /// Colour primaries.
    pub primaries: u16,
    /// Transfer characteristics.
    pub transfer: u16,
    /// Matrix coefficients.
    pub matrix: u16,
    /// Samples use the full range.
    pub full_range: bool,
}

/// Reads an AVIF's structure from its start.
pub(super) fn layout<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<Layout, HeaderError> {
    let start = input.position()?;
    loop {
        let box_start = input.position()?;
        if input.at_end()? {
            return Err(HeaderError::Truncated { format: "AVIF" });
        }
        let size = u64::from(input.be32()?);
        let kind: [u8; 4] = input.array()?;
        let (head, size) = match size {
            0 => return broken("it has no picture"),
            1 => (16, input.be64()?),
            size => (8, size),
        };
        let Some(length) = size.checked_sub(head) else { return broken("a box is shorter than its own head") };
        if &kind == b"meta" {
            if length > MAX_META {
                return broken("its description is too large");
            }
            let body_start = box_start + head - start;
            let body = input.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
            let layout = Meta::parse(&body, body_start).ok_or_else(damaged)?.layout()?;
            let end = input.end()? - start;
            for extents in std::iter::once(&layout.colour).chain(&layout.alpha) {
                if extents.iter().any(|(offset, length)| offset.checked_add(*length).is_none_or(|stop| stop > end)) {
                    return Err(HeaderError::Truncated { format: "AVIF" });
                }
                // Each lies in the file; together they are more where they overlap.
                if extents.iter().map(|(_, length)| length).sum::<u64>() > end {
                    return broken("parts of its data overlap");
                }
            }
            return Ok(layout);
        }
        input.skip(length)?;
    }
}

pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let layout = layout(input)?;
    let channels = if layout.monochrome { 1 } else { 3 } + u32::from(layout.alpha.is_some());
    Ok(Header {
        format: SourceFormat::Avif,
        width: layout.width,
        height: layout.height,
        frames: 1,
        scans: 1,
        bits_per_pixel: channels * if layout.depth > 8 { 16 } else { 8 },
    })
}

fn damaged() -> HeaderError {
    HeaderError::Broken("its description contradicts itself".to_owned())
}

/// A slice being read from front to back; `None` where it ends too early.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian number of 0 to 8 bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.number(2).and_then(|number| number.try_into().ok())
    }

    fn u32(&mut self) -> Option<u32> {
        self.number(4).and_then(|number| number.try_into().ok())
    }

    /// Version and flags of a full box.
    fn full_box(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some((u8::try_from(word >> 24).ok()?, word & 0xFF_FFFF))
    }

    /// The next box: its kind, its body, and where the body begins in this slice.
    fn next_box(&mut self, whole: usize) -> Option<([u8; 4], Bytes<'a>, usize)> {
        let size = usize::try_from(self.u32()?).ok()?;
        let kind = self.take(4)?.try_into().ok()?;
        let start = whole - self.0.len();
        let body = self.take(size.checked_sub(8)?)?;
        Some((kind, Bytes(body), start))
    }

    /// All boxes of a body.
    fn boxes(mut self) -> Option<Vec<([u8; 4], Bytes<'a>, usize)>> {
        let whole = self.0.len();
        let mut boxes = Vec::new();
        while !self.0.is_empty() {
            boxes.push(self.next_box(whole)?);
            if boxes.len() > MAX_ENTRIES {
                return None;
            }
        }
        Some(boxes)
    }
}

/// The parts of a `meta` box (ISO/IEC 14496-12, section 8.11).
#[derive(Default)]
struct Meta<'a> {
    primary: u32,
    /// Item and type.
    items: Vec<(u32, [u8; 4])>,
    /// Item and extents.
    locations: Vec<(u32, Extents)>,
    /// Kind, from, to.
    references: Vec<([u8; 4], u32, u32)>,
    properties: Vec<([u8; 4], Bytes<'a>)>,
    /// Item and index of a property, from 1.
    associations: Vec<(u32, usize)>,
}

impl<'a> Meta<'a> {
    /// `body_start`: where the box's body begins in the file.
    fn parse(body: &'a [u8], body_start: u64) -> Option<Self> {
        let mut meta = Self::default();
        let mut bytes = Bytes(body);
        bytes.full_box()?;
        let boxes = bytes.boxes()?;
        let idat = boxes.iter().find(|(kind, ..)| kind == b"idat");
        // Boxes begin behind the four bytes of version and flags.
        let idat = idat.map(|(_, body, start)| (body_start + 4 + *start as u64, body.0.len() as u64));
        for (kind, body, _) in &boxes {
            match kind {
                b"pitm" => meta.primary(*body)?,
                b"iinf" => meta.items(*body)?,
                b"iloc" => meta.locations(*body, idat)?,
                b"iref" => meta.references(*body)?,
                b"iprp" => meta.properties(*body)?,
                _ => {}
            }
        }
        Some(meta)
    }

    fn primary(&mut self, mut body: Bytes<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        self.primary = item_id(&mut body, version == 0)?;
        Some(())
    }

    fn items(&mut self, mut body: Bytes<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        item_id(&mut body, version == 0)?; // how many
        for (kind, mut entry, _) in body.boxes()? {
            let (version @ 2..=3, _) = entry.full_box()? else { continue };
            if &kind == b"infe" {
                let item = item_id(&mut entry, version == 2)?;
                entry.u16()?; // protection
                self.items.push((item, entry.take(4)?.try_into().ok()?));
            }
        }
        Some(())
    }

    fn locations(&mut self, mut body: Bytes<'a>, idat: Option<(u64, u64)>) -> Option<()> {
        let (version, _) = body.full_box()?;
        let sizes = body.u16()?;
        let size = |shift: u32| usize::from(sizes >> shift & 15);
        let index_size = if version == 0 { 0 } else { size(0) };
        let mut total = 0;
        for _ in 0..item_id(&mut body, version < 2)? {
            let item = item_id(&mut body, version < 2)?;
            let method = if version == 0 { 0 } else { body.u16()? & 15 };
            body.u16()?; // in this file
            let base = body.number(size(4))?;
            let mut extents = Extents::new();
            for _ in 0..body.u16()? {
                body.number(index_size)?;
                let (offset, length) = (base.checked_add(body.number(size(12))?)?, body.number(size(8))?);
                match (method, idat) {
                    (0, _) => extents.push((offset, length)),
                    (1, Some((start, available))) if offset.checked_add(length)? <= available => {
                        extents.push((start + offset, length));
                    }
                    _ => return None,
                }
                total += 1;
                if total > MAX_ENTRIES {
                    return None;
                }
            }
            self.locations.push((item, extents));
        }
        Some(())
    }

    fn references(&mut self, mut body: Bytes<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        for (kind, mut reference, _) in body.boxes()? {
            let from = item_id(&mut reference, version == 0)?;
            for _ in 0..reference.u16()? {
                self.references.push((kind, from, item_id(&mut reference, version == 0)?));
            }
            if self.references.len() > MAX_ENTRIES {
                return None;
            }
        }
        Some(())
    }

    fn properties(&mut self, body: Bytes<'a>) -> Option<()> {
        for (kind, mut body, _) in body.boxes()? {
            match &kind {
                b"ipco" => self.properties.extend(body.boxes()?.into_iter().map(|(kind, body, _)| (kind, body))),
                b"ipma" => {
                    let (version, flags) = body.full_box()?;
                    for _ in 0..body.u32()? {
                        let item = item_id(&mut body, version == 0)?;
                        for _ in 0..body.u8()? {
                            let index =
                                if flags & 1 == 1 { body.u16()? & 0x7FFF } else { u16::from(body.u8()? & 0x7F) };
                            self.associations.push((item, index.into()));
                        }
                        if self.associations.len() > MAX_ENTRIES {
                            return None;
                        }
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn properties_of(&self, item: u32) -> impl Iterator<Item = (&[u8; 4], Bytes<'a>)> {
        let own = self.associations.iter().filter(move |(owner, _)| *owner == item);
        own.filter_map(|(_, index)| self.properties.get(index.checked_sub(1)?)).map(|(kind, body)| (kind, *body))
    }

    fn extents(&self, item: u32) -> Result<Extents, HeaderError> {
        let found = self.locations.iter().find(|(owner, _)| *owner == item).map(|(_, extents)| extents.clone());
        found.filter(|extents| !extents.is_empty()).ok_or_else(damaged)
    }

    fn kind(&self, item: u32) -> Option<[u8; 4]> {
        self.items.iter().find(|(id, _)| *id == item).map(|(_, kind)| *kind)
    }

    /// The item that holds the alpha of another.
    fn alpha_of(&self, item: u32) -> Option<u32> {
        let auxiliaries = self.references.iter().filter(|(kind, _, to)| kind == b"auxl" && *to == item);
        auxiliaries.map(|(_, from, _)| *from).find(|from| {
            self.properties_of(*from).any(|(kind, body)| {
                let name = body.0.get(4..).unwrap_or_default();
                let is = |urn: &[u8]| name.strip_prefix(urn).is_some_and(|rest| rest.first().is_none_or(|b| *b == 0));
                kind == b"auxC"
                    && (is(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha") || is(b"urn:mpeg:hevc:2015:auxid:1"))
            })
        })
    }

    /// The item that holds the EXIF of another.
    fn exif_of(&self, item: u32) -> Option<u32> {
        let described = self.references.iter().filter(|(kind, _, to)| kind == b"cdsc" && *to == item);
        described.map(|(_, from, _)| *from).find(|from| self.kind(*from) == Some(*b"Exif"))
    }

    fn layout(&self) -> Result<Layout, HeaderError> {
        match self.kind(self.primary).as_ref() {
            Some(b"av01") => {}
            Some(b"grid") => return unreadable("an AVIF that is put together from tiles"),
            Some(b"hvc1" | b"hev1") => return unreadable("a HEIC"),
            Some(_) => return unreadable("an AVIF of an unusual kind"),
            None => return Err(damaged()),
        }
        let mut layout = Layout { colour: self.extents(self.primary)?, ..Layout::default() };
        for (kind, body) in self.properties_of(self.primary) {
            layout.property(*kind, body).ok_or_else(damaged)?;
        }
        if layout.width == 0 || layout.height == 0 || layout.depth == 0 {
            return Err(damaged());
        }
        layout.exif = self.exif_of(self.primary).and_then(|exif| self.extents(exif).ok());
        if let Some(alpha) = self.alpha_of(self.primary) {
            if self.kind(alpha).as_ref() != Some(b"av01") {
                return unreadable("an AVIF whose transparency is put together from tiles");
            }
            layout.alpha = Some(self.extents(alpha)?);
            layout.premultiplied = self.references.contains(&(*b"prem", self.primary, alpha));
        }
        Ok(layout)
    }
}

impl Layout {
    fn property(&mut self, kind: [u8; 4], mut body: Bytes<'_>) -> Option<()> {
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

fn item_id(body: &mut Bytes<'_>, short: bool) -> Option<u32> {
    if short { body.u16().map(u32::from) } else { body.u32() }
}
