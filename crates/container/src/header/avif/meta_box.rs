//! The `meta` box (ISO/IEC 14496-12, section 8.11): items, their extents, references and properties.

use super::{
    super::{HeaderError, error::unsupported},
    Extents, Layout,
    box_reader::{BoxReader, MAX_ENTRIES},
};

/// A `meta` box (ISO/IEC 14496-12, section 8.11).
#[derive(Default)]
pub(super) struct MetaBox<'a> {
    /// `pitm`: the primary item.
    primary: u32,
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
    /// `body_start` is the offset of the body in the file.
    pub(super) fn parse(body: &'a [u8], body_start: u64) -> Result<Self, HeaderError> {
        Self::parse_boxes(body, body_start).ok_or_else(inconsistent)
    }

    fn parse_boxes(body: &'a [u8], body_start: u64) -> Option<Self> {
        let mut meta = Self::default();
        let mut bytes = BoxReader(body);
        bytes.full_box()?;
        let boxes = bytes.boxes()?;
        let idat = boxes.iter().find(|(kind, ..)| kind == b"idat");
        // `start` counts from after the four bytes of version and flags.
        let idat = idat.map(|(_, body, start)| (body_start + 4 + *start as u64, body.0.len() as u64));
        for (kind, body, _) in &boxes {
            match kind {
                b"pitm" => meta.read_pitm(*body)?,
                b"iinf" => meta.read_iinf(*body)?,
                b"iloc" => meta.read_iloc(*body, idat)?,
                b"iref" => meta.read_iref(*body)?,
                b"iprp" => meta.read_iprp(*body)?,
                _ => {}
            }
        }
        Some(meta)
    }

    fn read_pitm(&mut self, mut body: BoxReader<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        self.primary = item_id(&mut body, version == 0)?;
        Some(())
    }

    fn read_iinf(&mut self, mut body: BoxReader<'a>) -> Option<()> {
        let (version, _) = body.full_box()?;
        item_id(&mut body, version == 0)?; // entry_count
        for (kind, mut entry, _) in body.boxes()? {
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
        }
        Some(())
    }

    fn read_iref(&mut self, mut body: BoxReader<'a>) -> Option<()> {
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

    fn read_iprp(&mut self, body: BoxReader<'a>) -> Option<()> {
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

    /// The auxiliary item with the alpha channel of an item.
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

    /// The metadata item with the EXIF of an item.
    fn exif_of(&self, item: u32) -> Option<u32> {
        let described = self.references.iter().filter(|(kind, _, to)| kind == b"cdsc" && *to == item);
        described.map(|(_, from, _)| *from).find(|from| self.item_type(*from) == Some(*b"Exif"))
    }

    /// The primary item with its properties.
    pub(super) fn layout(&self) -> Result<Layout, HeaderError> {
        match self.item_type(self.primary).as_ref() {
            Some(b"av01") => {}
            Some(b"grid") => return unsupported("an AVIF that is put together from tiles"),
            Some(b"hvc1" | b"hev1") => return unsupported("a HEIC"),
            Some(_) => return unsupported("an AVIF of an unusual kind"),
            None => return Err(inconsistent()),
        }
        let mut layout = Layout { colour: self.extents(self.primary)?, ..Layout::default() };
        for (kind, body) in self.properties_of(self.primary) {
            layout.property(*kind, body).ok_or_else(inconsistent)?;
        }
        if layout.width == 0 || layout.height == 0 || layout.depth == 0 {
            return Err(inconsistent());
        }
        layout.exif = self.exif_of(self.primary).and_then(|exif| self.extents(exif).ok());
        if let Some(alpha) = self.alpha_of(self.primary) {
            if self.item_type(alpha).as_ref() != Some(b"av01") {
                return unsupported("an AVIF whose transparency is put together from tiles");
            }
            layout.alpha = Some(self.extents(alpha)?);
            layout.premultiplied = self.references.contains(&(*b"prem", self.primary, alpha));
        }
        Ok(layout)
    }
}

/// An item identifier: 16 bits if `short`, else 32.
fn item_id(body: &mut BoxReader<'_>, short: bool) -> Option<u32> {
    if short { body.u16().map(u32::from) } else { body.u32() }
}

fn inconsistent() -> HeaderError {
    HeaderError::Broken("its meta box is inconsistent".to_owned())
}
