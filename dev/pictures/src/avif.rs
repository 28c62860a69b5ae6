//! AVIF: the container is written here, around AV1 data of an encoder.

/// AV1 data of [`super::corners`] at 32 × 16 with its `av1C` property. Made by `avifenc` 0.11.1 with libaom 3.6.0:
/// `avifenc --min 0 --max 0 -s 6 -y FORMAT -d DEPTH [-r limited] corners.png`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Av1 {
    /// 8 bits, 4:2:0, full range.
    Half,
    /// 8 bits, 4:2:2, full range.
    HalfAcross,
    /// 8 bits, 4:4:4, full range.
    Full,
    /// 8 bits, 4:4:4, limited range.
    Limited,
    /// 8 bits, 4:0:0, full range: the corners' luma, 76, 149, 29, 255.
    Gray,
    /// 10 bits, 4:4:4, full range.
    Ten,
    /// 12 bits, 4:4:4, full range.
    Twelve,
    /// 8 bits, 4:4:4, full range, identity matrix: the planes are green, blue and red.
    Identity,
    /// 8 bits, 4:4:4, full range: the corners' complement.
    Inverted,
    /// 8 bits, 4:4:4, full range, two spatial layers: the corners, and above them their complement. Two frames of a sequence of `avifenc`,
    /// with extension headers that name their layers, and both layers in the sequence header's operating point.
    Layered,
    /// An alpha plane: 255 in the left half, 128 in the upper right quarter, 0 in the lower right.
    Alpha,
}

impl Av1 {
    /// The bytes of the codec configuration, the data, the nclx code points, and whether the range is full.
    fn parts(self) -> (&'static str, &'static str, ([u16; 3], bool)) {
        let srgb = ([1, 13, 6], true);
        match self {
            Self::Half => (
                "81000c00",
                "12000a091810ffec1010d06840321b440000e7883e50b956b400f77dcd348a1d41c4d77bec0aad52d21a",
                srgb,
            ),
            Self::HalfAcross => {
                ("81400800", "12000a085810ffec1010d069321b440000c0016c71153b25842787a97fd265443d94be6e7685486ff6", srgb)
            }
            Self::Full => (
                "81200000",
                "12000a083810ffec2021a0d2321d440000e7883e4cfd36b400f00d82be885beb5d0c2866210ac617df0140",
                srgb,
            ),
            Self::Limited => (
                "81200000",
                "12000a083810ffec2021a0c2321d440000e7886ae27319be76fdd317be885beb4d390839d1404957df0140",
                ([1, 13, 6], false),
            ),
            Self::Gray => ("81001c00", "12000a081810ffec3010d06a320f440000e8ab26ff276acca09452aac0", srgb),
            Self::Ten => (
                "81204000",
                "12000a083810ffec6021a0d23220440000e7883e0674ebeee5452ba7e02be885beb5c5163c1faa20895537df0140",
                srgb,
            ),
            Self::Twelve => (
                "81406000",
                "12000a095810ffec68086834403223440000e7883d7ce095b86adc88fad55f82be885beb5bf8745b6c4af0045136b7df0140",
                srgb,
            ),
            Self::Identity => (
                "81200000",
                "12000a083810ffec2021a004322b100000a928ef2df483e3d2266ad4a932aef46ba35edbfc72e16b88ba32857fe44c63acb83f8760f72b4da8",
                ([1, 13, 0], true),
            ),
            Self::Inverted => (
                "81200000",
                "12000a0c200000021ffcdaf92021a0d2321f1400200000e78a6c39ef0378d7557540afcb22c36de784a28c324c103c8ec0",
                srgb,
            ),
            Self::Layered => (
                "81200000",
                "12000a0c200301021ffcdaf92021a0d2\
                36001f1400200000e7883e4cfd36b400f00d82be885beb5d0c2866210ac617df0140\
                36081f1400200000e78a6c39ef0378d7557540afcb22c36de784a28c324c103c8ec0",
                srgb,
            ),
            Self::Alpha => ("81001c00", "12000a051810ffec2a320c440000525ed9229b51e01980", srgb),
        }
    }
}

/// The index of the property with the size of the coded data, which a tile of a grid has.
const TILE_SIZE: u8 = 3;

/// A builder of an AVIF.
#[derive(Clone, Debug)]
pub struct Avif {
    data: Av1,
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

impl Avif {
    /// With the colour property that the encoder wrote.
    #[must_use]
    pub fn new(data: Av1) -> Self {
        Self {
            data,
            nclx: Some(data.parts().2),
            profile: None,
            alpha: false,
            premultiplied: false,
            turns: None,
            mirror: None,
            metadata: Vec::new(),
            kind: *b"av01",
            size: (32, 16),
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

    /// Without an `nclx` property, so that the code points of the AV1 data count.
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

    /// With the alpha plane [`Av1::Alpha`].
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
        let (configuration, data, _) = self.data.parts();
        let mut references = Vec::new();
        let mut items = vec![(self.kind, bytes(data))];
        if self.alpha {
            items.push((*b"av01", bytes(Av1::Alpha.parts().1)));
        }
        let (properties, mut associations) = self.properties(configuration);
        if let Some((rows, columns)) = self.grid {
            let size = [self.size.0, self.size.1].map(|side| number(side as usize).to_be_bytes()).concat();
            let shape = [&[0, 0, rows - 1, columns - 1][..], &size].concat();
            for grid in 0..items.len() {
                let tile = (*b"av01", std::mem::replace(&mut items[grid], (*b"grid", shape.clone())).1);
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
        let file_type = boxed(*b"ftyp", b"avif\0\0\0\0avifmif1miaf");
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
    fn properties(&self, configuration: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
        let size = [[0; 4], self.size.0.to_be_bytes(), self.size.1.to_be_bytes()].concat();
        let mut all = boxed(*b"ispe", &size);
        all.extend(boxed(*b"av1C", &bytes(configuration)));
        all.extend(boxed(*b"ispe", &[[0; 4], 32_u32.to_be_bytes(), 16_u32.to_be_bytes()].concat()));
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
            add(*b"av1C", &bytes(Av1::Alpha.parts().0)) | 0x80,
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

fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 8).unwrap_or(0).to_be_bytes()[..], &kind, body].concat()
}

fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(0)
}

pub(super) fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0);
    hexadecimal.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// An image sequence without a still picture: AV1 data of each frame, and how long it is shown in hundredths of a second. `repeats`
/// is the number of times that the edit list shows it; 0 means forever. With `alpha`, each frame has that alpha channel.
#[must_use]
pub fn avif_sequence(frames: &[(Av1, u32)], repeats: Option<u32>, alpha: bool) -> Vec<u8> {
    let full = |version: u8, body: &[u8]| [&[version, 0, 0, 0], body].concat();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let file_type = boxed(*b"ftyp", b"avis\0\0\0\0avismsf1miaf");
    let length: u32 = frames.iter().map(|(_, duration)| duration).sum();
    let track = |id: u32, samples: &[(Av1, u32)], offset: usize| {
        let data: Vec<Vec<u8>> = samples.iter().map(|(data, _)| bytes(data.parts().1)).collect();
        let total = match repeats {
            Some(0) => u32::MAX,
            count => length * count.unwrap_or(1),
        };
        let header = boxed(*b"tkhd", &full(0, &[words(&[0, 0, id, 0, total]), vec![0; 60]].concat()));
        let edit = boxed(
            *b"edts",
            &boxed(
                *b"elst",
                &[&[0, 0, 0, u8::from(repeats != Some(1))][..], &words(&[1, length, 0, 0x1_0000])].concat(),
            ),
        );
        let reference = boxed(*b"tref", &boxed(*b"auxl", &words(&[1])));
        let size = [&[0, 32, 0, 16][..], &[0; 50]].concat();
        let (configuration, _, ([primaries, transfer, matrix], is_full)) = samples[0].0.parts();
        let codes = [primaries, transfer, matrix].map(u16::to_be_bytes).concat();
        let mut entry = [vec![0; 24], size, boxed(*b"av1C", &bytes(configuration))].concat();
        if id == 1 {
            entry.extend(boxed(*b"colr", &[&b"nclx"[..], &codes, &[u8::from(is_full) << 7]].concat()));
        } else {
            entry.extend(boxed(*b"auxi", b"\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"));
        }
        let sizes: Vec<u32> = data.iter().map(|data| u32::try_from(data.len()).unwrap_or(0)).collect();
        let durations: Vec<u32> = samples.iter().flat_map(|(_, duration)| [1, *duration]).collect();
        let count = u32::try_from(samples.len()).unwrap_or(0);
        let table = [
            boxed(*b"stsd", &full(0, &[words(&[1]), boxed(*b"av01", &entry)].concat())),
            boxed(*b"stts", &full(0, &[words(&[count]), words(&durations)].concat())),
            boxed(*b"stsc", &full(0, &words(&[1, 1, count, 1]))),
            boxed(*b"stsz", &full(0, &[words(&[0, count]), words(&sizes)].concat())),
            boxed(*b"stco", &full(0, &words(&[1, u32::try_from(offset).unwrap_or(0)]))),
        ]
        .concat();
        let handler = if id == 1 { *b"pict" } else { *b"auxv" };
        let media = [
            boxed(*b"mdhd", &full(0, &words(&[0, 0, 100, length, 0]))),
            boxed(*b"hdlr", &full(0, &[&[0; 4], &handler[..], &[0; 13]].concat())),
            boxed(*b"minf", &boxed(*b"stbl", &table)),
        ]
        .concat();
        let edit = if repeats.is_some() { edit } else { Vec::new() };
        let reference = if id == 1 { Vec::new() } else { reference };
        (boxed(*b"trak", &[header, edit, reference, boxed(*b"mdia", &media)].concat()), data.concat())
    };
    let alphas: Vec<(Av1, u32)> = frames.iter().map(|(_, duration)| (Av1::Alpha, *duration)).collect();
    let mut offset = 0;
    loop {
        let (mut tracks, mut data) = track(1, frames, offset);
        if alpha {
            let (more, alphas) = track(2, &alphas, offset + data.len());
            tracks.extend(more);
            data.extend(alphas);
        }
        let movie = boxed(*b"moov", &[boxed(*b"mvhd", &full(0, &words(&[0, 0, 100, length]))), tracks].concat());
        let start = file_type.len() + movie.len() + 8;
        if start == offset {
            return [file_type, movie, boxed(*b"mdat", &data)].concat();
        }
        offset = start;
    }
}
