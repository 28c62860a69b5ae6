//! The `meta` box (ISO/IEC 14496-12, section 8.11): items, their extents, references and properties.

use std::io::{BufRead, Seek};

use super::{
    super::{HeaderError, byte_reader::ByteReader, error::broken, error::unsupported},
    Coded, Extents, Layout,
    box_reader::{BoxReader, MAX_ENTRIES},
    clean_aperture, read_box_header,
};

/// The longest boxes of a `meta` box to read, in bytes, without those of coded data. Their only large part is an ICC profile.
const MAX_LENGTH: u64 = 2 << 20;

/// The boxes of a `meta` box, in memory. Coded data in it (`idat`) stays in the file.
pub(super) struct MetaBytes {
    boxes: Vec<([u8; 4], Vec<u8>)>,
    /// Offset in the file and length of the `idat` box's body.
    idat: Option<(u64, u64)>,
}

impl MetaBytes {
    /// Reads the body of a `meta` box, which ends at `end`, a position in the reader. `start` is that of the file.
    pub(super) fn read<R: BufRead + Seek>(
        input: &mut ByteReader<'_, R>,
        start: u64,
        end: u64,
    ) -> Result<Self, HeaderError> {
        let mut meta = Self { boxes: Vec::new(), idat: None };
        let mut total = 0;
        input.be32()?; // version and flags
        while input.position()? < end {
            let (kind, length) = read_box_header(input, end)?;
            let body = input.position()?;
            if body + length > end {
                return Err(inconsistent());
            }
            match &kind {
                b"idat" => meta.idat = Some((body - start, length)),
                b"pitm" | b"iinf" | b"iloc" | b"iref" | b"iprp" => {
                    total += length;
                    if total > MAX_LENGTH {
                        return broken("its meta box is too large");
                    }
                    meta.boxes.push((kind, input.bytes(usize::try_from(length).unwrap_or(usize::MAX))?));
                    continue;
                }
                _ => {}
            }
            input.seek_to(body + length)?;
            if meta.boxes.len() > MAX_ENTRIES {
                return Err(inconsistent());
            }
        }
        Ok(meta)
    }
}

/// A `meta` box (ISO/IEC 14496-12, section 8.11).
#[derive(Default)]
pub(super) struct MetaBox<'a> {
    /// `pitm`: the primary item.
    primary: Option<u32>,
    /// `iinf`: item and type.
    items: Vec<(u32, [u8; 4])>,
    /// `iloc`: item and extents.
    locations: Vec<(u32, Extents)>,
    /// `iref`: type, from item, to item.
    references: Vec<([u8; 4], u32, u32)>,
    /// `ipco`: type and body.
    properties: Vec<([u8; 4], BoxReader<'a>)>,
    /// `ipma`: item and index of a property, from 1.
    associations: Vec<(u32, usize)>,
}

impl<'a> MetaBox<'a> {
    pub(super) fn parse(bytes: &'a MetaBytes) -> Result<Self, HeaderError> {
        Self::parse_boxes(bytes).ok_or_else(inconsistent)
    }

    fn parse_boxes(bytes: &'a MetaBytes) -> Option<Self> {
        let mut meta = Self::default();
        for (kind, body) in &bytes.boxes {
            let body = BoxReader(body);
            match kind {
                b"pitm" => meta.read_pitm(body)?,
                b"iinf" => meta.read_iinf(body)?,
                b"iloc" => meta.read_iloc(body, bytes.idat)?,
                b"iref" => meta.read_iref(body)?,
                _ => meta.read_iprp(body)?,
            }
        }
        Some(meta)
    }

    fn read_pitm(&mut self, mut body: BoxReader<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        self.primary = Some(item_id(&mut body, version == 0)?);
        Some(())
    }

    fn read_iinf(&mut self, mut body: BoxReader<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        item_id(&mut body, version == 0)?; // entry_count
        for (kind, mut entry) in body.boxes()? {
            let (version @ 2..=3, _) = entry.full_box()? else { continue };
            if &kind == b"infe" {
                let item = item_id(&mut entry, version == 2)?;
                entry.u16()?; // item_protection_index
                self.items.push((item, entry.take(4)?.try_into().ok()?));
            }
        }
        Some(())
    }

    fn read_iloc(&mut self, mut body: BoxReader<'a>, idat: Option<(u64, u64)>) -> Option<()> {
        let (version, _) = body.full_box()?;
        let sizes = body.u16()?;
        let size = |shift: u32| usize::from(sizes >> shift & 15);
        let index_size = if version == 0 { 0 } else { size(0) };
        let mut total = 0;
        for _ in 0..item_id(&mut body, version < 2)? {
            let item = item_id(&mut body, version < 2)?;
            let construction_method = if version == 0 { 0 } else { body.u16()? & 15 };
            body.u16()?; // data_reference_index
            let base_offset = body.number(size(4))?;
            let mut extents = Extents::new();
            for _ in 0..body.u16()? {
                body.number(index_size)?;
                let (offset, length) = (base_offset.checked_add(body.number(size(12))?)?, body.number(size(8))?);
                match (construction_method, idat) {
                    // An offset in the file.
                    (0, _) => extents.push((offset, length)),
                    // An offset in the `idat` box.
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
            if self.locations.len() > MAX_ENTRIES {
                return None;
            }
        }
        Some(())
    }

    fn read_iref(&mut self, mut body: BoxReader<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        for (kind, mut reference) in body.boxes()? {
            let from = item_id(&mut reference, version == 0)?;
            for _ in 0..reference.u16()? {
                self.references.push((kind, from, item_id(&mut reference, version == 0)?));
            }
            if self.references.len() > 2 * MAX_ENTRIES {
                return None;
            }
        }
        Some(())
    }

    fn read_iprp(&mut self, body: BoxReader<'a>) -> Option<()> {
        for (kind, mut body) in body.boxes()? {
            match &kind {
                b"ipco" => self.properties.extend(body.boxes()?),
                b"ipma" => {
                    let (version, flags) = body.full_box()?;
                    for _ in 0..body.u32()? {
                        let item = item_id(&mut body, version == 0)?;
                        for _ in 0..body.u8()? {
                            let index =
                                if flags & 1 == 1 { body.u16()? & 0x7FFF } else { u16::from(body.u8()? & 0x7F) };
                            self.associations.push((item, index.into()));
                        }
                        if self.associations.len() > 4 * MAX_ENTRIES {
                            return None;
                        }
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn properties_of(&self, item: u32) -> impl Iterator<Item = (&[u8; 4], BoxReader<'a>)> {
        let own = self.associations.iter().filter(move |(owner, _)| *owner == item);
        own.filter_map(|(_, index)| self.properties.get(index.checked_sub(1)?)).map(|(kind, body)| (kind, *body))
    }

    fn extents(&self, item: u32) -> Result<Extents, HeaderError> {
        let found = self.locations.iter().find(|(owner, _)| *owner == item).map(|(_, extents)| extents.clone());
        found.filter(|extents| !extents.is_empty()).ok_or_else(inconsistent)
    }

    /// The type of an item.
    fn item_type(&self, item: u32) -> Option<[u8; 4]> {
        self.items.iter().find(|(id, _)| *id == item).map(|(_, kind)| *kind)
    }

    /// The items from which an item is derived, in their order.
    fn inputs_of(&self, item: u32) -> Vec<u32> {
        let inputs = self.references.iter().filter(|(kind, from, _)| kind == b"dimg" && *from == item);
        inputs.map(|(_, _, to)| *to).collect()
    }

    /// The auxiliary item with the alpha channel of an item.
    fn alpha_of(&self, item: u32) -> Option<u32> {
        let auxiliaries = self.references.iter().filter(|(kind, _, to)| kind == b"auxl" && *to == item);
        auxiliaries.map(|(_, from, _)| *from).find(|from| {
            self.properties_of(*from)
                .any(|(kind, body)| kind == b"auxC" && is_alpha(body.0.get(4..).unwrap_or_default()))
        })
    }

    /// The metadata item with the EXIF of an item.
    fn exif_of(&self, item: u32) -> Option<u32> {
        let described = self.references.iter().filter(|(kind, _, to)| kind == b"cdsc" && *to == item);
        described.map(|(_, from, _)| *from).find(|from| self.item_type(*from) == Some(*b"Exif"))
    }

    /// Whether there is a primary item.
    pub(super) fn has_primary(&self) -> bool {
        self.primary.is_some()
    }

    /// The EXIF of the primary item, or of the only item.
    pub(super) fn exif(&self) -> Option<Extents> {
        self.exif_of(self.primary?).and_then(|exif| self.extents(exif).ok())
    }

    /// The primary item with its properties. `read` returns the data of extents.
    pub(super) fn layout(
        &self,
        read: &mut dyn FnMut(&Extents) -> Result<Vec<u8>, HeaderError>,
    ) -> Result<Layout, HeaderError> {
        let primary = self.primary.ok_or_else(inconsistent)?;
        let mut layout = Layout::default();
        for (kind, body) in self.properties_of(primary) {
            layout.property(*kind, body).ok_or_else(inconsistent)?;
        }
        layout.colour = self.coded(primary, &mut layout, read)?;
        if layout.coded_size.0 == 0 || layout.coded_size.1 == 0 || layout.depth == 0 {
            return Err(inconsistent());
        }
        let clap = self.properties_of(primary).find(|(kind, _)| *kind == b"clap");
        layout.crop = clap.and_then(|(_, body)| clean_aperture::crop(body, layout.coded_size));
        layout.exif = self.exif();
        let mut alpha_layout = Layout { coded_size: layout.coded_size, ..Layout::default() };
        if let Some(alpha) = self.alpha_of(primary) {
            layout.alpha = Some(self.coded(alpha, &mut alpha_layout, read)?);
            layout.premultiplied = self.references.contains(&(*b"prem", primary, alpha));
        } else {
            layout.alpha = self.alpha_of_tiles(primary, &layout.colour, &mut alpha_layout)?;
        }
        Ok(layout)
    }

    /// The coded data of an item: its own, or that of the tiles of a grid, whose properties count where the grid has none.
    fn coded(
        &self,
        item: u32,
        layout: &mut Layout,
        read: &mut dyn FnMut(&Extents) -> Result<Vec<u8>, HeaderError>,
    ) -> Result<Coded, HeaderError> {
        match self.item_type(item).as_ref() {
            Some(b"av01" | b"hvc1") => Ok(Coded::single(self.extents(item)?, layout.coded_size)),
            Some(b"grid") => {
                let (rows, columns, size) = grid(&read(&self.extents(item)?)?).ok_or_else(inconsistent)?;
                let tiles = self.inputs_of(item);
                let Some(first) = tiles.first().filter(|_| tiles.len() == (rows * columns) as usize) else {
                    return Err(inconsistent());
                };
                let mut tile = Layout::default();
                for (kind, body) in self.properties_of(*first) {
                    tile.property(*kind, body).ok_or_else(inconsistent)?;
                }
                layout.inherit(&tile);
                layout.coded_size = size;
                let tiles = tiles.iter().map(|tile| self.tile(*tile)).collect::<Result<_, _>>()?;
                Coded { tiles, rows, columns, tile_size: tile.coded_size }.covering(size)
            }
            Some(b"iden" | b"iovl" | b"tmap" | b"sato") => {
                unsupported("a HEIF that is put together from other pictures")
            }
            Some(_) => unsupported("a HEIF of an unusual kind"),
            None => Err(inconsistent()),
        }
    }

    /// The data of a tile of a grid.
    fn tile(&self, item: u32) -> Result<Extents, HeaderError> {
        match self.item_type(item).as_ref() {
            Some(b"av01" | b"hvc1") => self.extents(item),
            _ => unsupported("a HEIF whose tiles are of an unusual kind"),
        }
    }

    /// The alpha channel of a grid, where every tile has an alpha item.
    fn alpha_of_tiles(&self, grid: u32, colour: &Coded, layout: &mut Layout) -> Result<Option<Coded>, HeaderError> {
        let alphas: Option<Vec<u32>> = self.inputs_of(grid).into_iter().map(|tile| self.alpha_of(tile)).collect();
        let Some(alphas) = alphas.filter(|alphas| !alphas.is_empty() && self.item_type(grid) == Some(*b"grid")) else {
            return Ok(None);
        };
        layout.coded_size = colour.tile_size;
        let tiles = alphas.iter().map(|alpha| self.tile(*alpha)).collect::<Result<_, _>>()?;
        Ok(Some(Coded { tiles, ..colour.clone() }))
    }
}

/// The rows, columns, width and height in the data of a grid item (ISO/IEC 23008-12, section 6.6.2.3).
fn grid(data: &[u8]) -> Option<(u32, u32, (u32, u32))> {
    let mut data = BoxReader(data);
    let [0, flags, rows, columns] = *data.take(4)? else { return None };
    let bytes = if flags & 1 == 0 { 2 } else { 4 };
    let mut side = || u32::try_from(data.number(bytes)?).ok().filter(|side| *side > 0);
    Some((u32::from(rows) + 1, u32::from(columns) + 1, (side()?, side()?)))
}

/// Whether the name of an auxiliary type is that of an alpha channel.
pub(super) fn is_alpha(name: &[u8]) -> bool {
    let is = |urn: &[u8]| name.strip_prefix(urn).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == 0));
    is(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha") || is(b"urn:mpeg:hevc:2015:auxid:1")
}

/// An item identifier: 16 bits if `short`, else 32.
fn item_id(body: &mut BoxReader<'_>, short: bool) -> Option<u32> {
    if short { body.u16().map(u32::from) } else { body.u32() }
}

pub(super) fn inconsistent() -> HeaderError {
    HeaderError::Broken("its boxes contradict each other".to_owned())
}
