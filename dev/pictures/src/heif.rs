//! HEIF (ISO/IEC 23008-12): the container is written here, around data of an encoder.

/// A picture of an encoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodedPicture {
    /// The type of its item.
    pub(crate) item: [u8; 4],
    /// The type of the property with the configuration of the decoder.
    pub(crate) property: [u8; 4],
    /// Width and height.
    pub(crate) size: (u16, u16),
    /// The configuration of the decoder, in hexadecimal.
    pub(crate) configuration: &'static str,
    /// The data, in hexadecimal.
    pub(crate) data: &'static str,
    /// The code points of the colours, and whether the range is full.
    pub(crate) nclx: ([u16; 3], bool),
}

/// The index of the property with the size of the coded data, which a tile of a grid has.
const TILE_SIZE: u8 = 3;

/// A builder of a HEIF. A quarter of its picture is red, green, blue and white: [`super::corners`].
#[derive(Clone, Debug)]
pub struct Heif {
    brands: &'static [u8],
    picture: CodedPicture,
    alpha_plane: CodedPicture,
    nclx: Option<([u16; 3], bool)>,
    profile: Option<Vec<u8>>,
    alpha: bool,
    premultiplied: bool,
    turns: Option<u8>,
    mirror: Option<u8>,
    metadata: Vec<([u8; 4], Vec<u8>)>,
    kind: [u8; 4],
    size: (u32, u32),
    grid: Option<(u8, u8)>,
    more: Vec<([u8; 4], Vec<u8>)>,
    ends_with_meta: bool,
}

impl Heif {
    /// `brands`: the content of the box `ftyp`. `alpha`: 255 in the left half, 128 in the upper right quarter, 0 in the lower right.
    pub(crate) fn new(brands: &'static [u8], picture: CodedPicture, alpha_plane: CodedPicture) -> Self {
        Self {
            brands,
            picture,
            alpha_plane,
            nclx: Some(picture.nclx),
            profile: None,
            alpha: false,
            premultiplied: false,
            turns: None,
            mirror: None,
            metadata: Vec::new(),
            kind: picture.item,
            size: (picture.size.0.into(), picture.size.1.into()),
            grid: None,
            more: Vec::new(),
            ends_with_meta: false,
        }
    }

    /// Primaries and transfer function of another `nclx` property.
    #[must_use]
    pub fn with_code_points(mut self, primaries: u16, transfer: u16) -> Self {
        if let Some((codes, _)) = &mut self.nclx {
            codes[..2].copy_from_slice(&[primaries, transfer]);
        }
        self
    }

    /// Without an `nclx` property, so that the code points of the coded data count.
    #[must_use]
    pub fn without_code_points(mut self) -> Self {
        self.nclx = None;
        self
    }

    /// With an ICC profile.
    #[must_use]
    pub fn with_profile(mut self, profile: &[u8]) -> Self {
        self.profile = Some(profile.to_vec());
        self
    }

    /// With an alpha channel: 255 in the left half, 128 in the upper right quarter, 0 in the lower right.
    #[must_use]
    pub fn with_alpha(mut self, premultiplied: bool) -> Self {
        (self.alpha, self.premultiplied) = (true, premultiplied);
        self
    }

    /// With `irot`, quarter turns anticlockwise, and `imir`.
    #[must_use]
    pub fn turned(mut self, turns: Option<u8>, mirror: Option<u8>) -> Self {
        (self.turns, self.mirror) = (turns, mirror);
        self
    }

    /// With an EXIF item, which begins with an offset of 4 bytes.
    #[must_use]
    pub fn with_exif(mut self, exif: &[u8]) -> Self {
        self.metadata.push((*b"Exif", [&[0; 4][..], exif].concat()));
        self
    }

    /// With an item of another type that describes the picture.
    #[must_use]
    pub fn with_item(mut self, kind: [u8; 4], body: &[u8]) -> Self {
        self.metadata.push((kind, body.to_vec()));
        self
    }

    /// With another type of the primary item.
    #[must_use]
    pub fn of_kind(mut self, kind: [u8; 4]) -> Self {
        self.kind = kind;
        self
    }

    /// With another size in `ispe` than the data has.
    #[must_use]
    pub fn saying(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    /// As a grid of this number of rows and columns of the same picture, of the size of [`saying`](Self::saying). An alpha channel
    /// is a grid too.
    #[must_use]
    pub fn in_grid(mut self, rows: u8, columns: u8) -> Self {
        self.kind = *b"grid";
        self.grid = Some((rows, columns));
        self
    }

    /// With another property.
    #[must_use]
    pub fn with_property(mut self, kind: [u8; 4], body: &[u8]) -> Self {
        self.more.push((kind, body.to_vec()));
        self
    }

    /// With a clean aperture: width, height, and the offset of its centre in halves of a pixel.
    #[must_use]
    pub fn with_clean_aperture(self, width: u32, height: u32, right: i32, down: i32) -> Self {
        let fractions = [width, 1, height, 1, right.cast_unsigned(), 2, down.cast_unsigned(), 2];
        self.with_property(*b"clap", &fractions.map(u32::to_be_bytes).concat())
    }

    /// With the data before the `meta` box, which has no size and ends with the file.
    #[must_use]
    pub fn ending_with_meta(mut self) -> Self {
        self.ends_with_meta = true;
        self
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut references = Vec::new();
        let mut items = vec![(self.kind, bytes(self.picture.data))];
        if self.alpha {
            items.push((self.alpha_plane.item, bytes(self.alpha_plane.data)));
        }
        let (properties, mut associations) = self.properties();
        if let Some((rows, columns)) = self.grid {
            let size = [self.size.0, self.size.1].map(|side| number(side as usize).to_be_bytes()).concat();
            let shape = [&[0, 0, rows - 1, columns - 1][..], &size].concat();
            for grid in 0..items.len() {
                let tile = (self.picture.item, std::mem::replace(&mut items[grid], (*b"grid", shape.clone())).1);
                let own = associations[grid].clone();
                let inputs: Vec<u16> =
                    (0..u16::from(rows) * u16::from(columns)).map(|i| number(items.len() + 1) + i).collect();
                for _ in &inputs {
                    items.push(tile.clone());
                    associations.push(vec![TILE_SIZE, if grid == 0 { 0x82 } else { own[1] }]);
                }
                let list = [&[number(grid + 1), number(inputs.len())][..], &inputs].concat();
                references.extend(boxed(*b"dimg", &list.iter().flat_map(|id| id.to_be_bytes()).collect::<Vec<_>>()));
            }
        }
        let described = items.len();
        items.extend(self.metadata.iter().cloned());
        if self.alpha {
            references.extend(reference(*b"auxl", 2, 1));
        }
        if self.premultiplied {
            references.extend(reference(*b"prem", 1, 2));
        }
        for item in described..items.len() {
            references.extend(reference(*b"cdsc", number(item + 1), 1));
        }
        // The offset of the data depends on the length of the boxes before it, so they are encoded twice.
        let file_type = boxed(*b"ftyp", self.brands);
        let data = boxed(*b"mdat", &items.iter().flat_map(|(_, body)| body).copied().collect::<Vec<u8>>());
        if self.ends_with_meta {
            let mut meta = meta(&items, &properties, &associations, &references, file_type.len() + 8);
            meta[..4].fill(0);
            return [file_type, data, meta].concat();
        }
        let mut offset = 0;
        loop {
            let meta = meta(&items, &properties, &associations, &references, offset);
            let start = file_type.len() + meta.len() + 8;
            if start == offset {
                return [file_type, meta, data].concat();
            }
            offset = start;
        }
    }

    /// The properties, and the indices of those of item 1 and of item 2.
    fn properties(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let size = [[0; 4], self.size.0.to_be_bytes(), self.size.1.to_be_bytes()].concat();
        let mut all = boxed(*b"ispe", &size);
        all.extend(boxed(self.picture.property, &bytes(self.picture.configuration)));
        let (width, height) = self.picture.size;
        let coded_size = [width, height].map(|side| u32::from(side).to_be_bytes()).concat();
        all.extend(boxed(*b"ispe", &[&[0; 4][..], &coded_size].concat()));
        let mut own = vec![1, 0x82];
        let mut count = TILE_SIZE;
        let mut add = |kind: [u8; 4], body: &[u8]| {
            all.extend(boxed(kind, body));
            count += 1;
            count
        };
        if let Some(([primaries, transfer, matrix], full)) = self.nclx {
            let codes = [primaries, transfer, matrix].map(u16::to_be_bytes).concat();
            own.push(add(*b"colr", &[&b"nclx"[..], &codes, &[u8::from(full) << 7]].concat()));
        }
        if let Some(profile) = &self.profile {
            own.push(add(*b"colr", &[b"prof", profile.as_slice()].concat()));
        }
        if let Some(turns) = self.turns {
            own.push(add(*b"irot", &[turns]) | 0x80);
        }
        if let Some(mirror) = self.mirror {
            own.push(add(*b"imir", &[mirror]) | 0x80);
        }
        for (kind, body) in &self.more {
            own.push(add(*kind, body) | 0x80);
        }
        if !self.alpha {
            return (all, vec![own]);
        }
        let alphas = vec![
            1,
            add(self.alpha_plane.property, &bytes(self.alpha_plane.configuration)) | 0x80,
            add(*b"auxC", b"\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"),
        ];
        (all, vec![own, alphas])
    }
}

fn meta(
    items: &[([u8; 4], Vec<u8>)],
    properties: &[u8],
    associations: &[Vec<u8>],
    references: &[u8],
    offset: usize,
) -> Vec<u8> {
    let mut entries = number(items.len()).to_be_bytes().to_vec();
    // Offsets and lengths of four bytes, no base.
    let mut places = [&[0x44, 0][..], &entries].concat();
    let mut at = offset;
    for (index, (kind, body)) in items.iter().enumerate() {
        let id = number(index + 1).to_be_bytes();
        let name: &[u8] = if kind == b"mime" { b"\0application/rdf+xml\0" } else { b"\0" };
        entries.extend(boxed(*b"infe", &[&[2, 0, 0, 0][..], &id, &[0; 2], kind, name].concat()));
        let place = [at, body.len()].map(|value| u32::try_from(value).unwrap_or(0).to_be_bytes()).concat();
        places.extend([&id[..], &[0, 0, 0, 1], &place].concat());
        at += body.len();
    }
    let mut owners = Vec::new();
    owners.extend(u32::try_from(associations.len()).unwrap_or(0).to_be_bytes());
    for (item, own) in associations.iter().enumerate() {
        owners.extend(number(item + 1).to_be_bytes());
        owners.push(u8::try_from(own.len()).unwrap_or(0));
        owners.extend(own);
    }
    let full = |body: &[u8]| [&[0; 4], body].concat();
    let properties = [boxed(*b"ipco", properties), boxed(*b"ipma", &full(&owners))].concat();
    let mut body = vec![0; 4];
    body.extend(boxed(*b"hdlr", &full(b"\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0")));
    body.extend(boxed(*b"pitm", &full(&[0, 1])));
    body.extend(boxed(*b"iloc", &full(&places)));
    body.extend(boxed(*b"iinf", &full(&entries)));
    if !references.is_empty() {
        body.extend(boxed(*b"iref", &full(references)));
    }
    body.extend(boxed(*b"iprp", &properties));
    boxed(*b"meta", &body)
}

fn reference(kind: [u8; 4], from: u16, to: u16) -> Vec<u8> {
    boxed(kind, &[from, 1, to].map(u16::to_be_bytes).concat())
}

pub(crate) fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 8).unwrap_or(0).to_be_bytes()[..], &kind, body].concat()
}

fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(0)
}

pub(crate) fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0);
    hexadecimal.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
