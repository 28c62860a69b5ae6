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
            Self::Alpha => ("81001c00", "12000a051810ffec2a320c440000525ed9229b51e01980", srgb),
        }
    }
}

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

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (configuration, data, _) = self.data.parts();
        let mut items = vec![(self.kind, bytes(data))];
        if self.alpha {
            items.push((*b"av01", bytes(Av1::Alpha.parts().1)));
        }
        let described = items.len();
        items.extend(self.metadata.iter().cloned());
        let (properties, associations) = self.properties(configuration);
        let mut references = Vec::new();
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
        let mut offset = 0;
        loop {
            let meta = meta(&items, &properties, &associations, &references, offset);
            let file_type = boxed(*b"ftyp", b"avif\0\0\0\0avifmif1miaf");
            let start = file_type.len() + meta.len() + 8;
            if start == offset {
                let data: Vec<u8> = items.iter().flat_map(|(_, body)| body).copied().collect();
                return [file_type, meta, boxed(*b"mdat", &data)].concat();
            }
            offset = start;
        }
    }

    /// The properties, and the indices of those of item 1 and of item 2.
    fn properties(&self, configuration: &str) -> (Vec<u8>, [Vec<u8>; 2]) {
        let size = [[0; 4], self.size.0.to_be_bytes(), self.size.1.to_be_bytes()].concat();
        let mut all = boxed(*b"ispe", &size);
        all.extend(boxed(*b"av1C", &bytes(configuration)));
        let mut own = vec![1, 0x82];
        let mut count = 2;
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
        let mut alphas = vec![1];
        if self.alpha {
            alphas.push(add(*b"av1C", &bytes(Av1::Alpha.parts().0)) | 0x80);
            alphas.push(add(*b"auxC", b"\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"));
        }
        (all, [own, alphas])
    }
}

fn meta(
    items: &[([u8; 4], Vec<u8>)],
    properties: &[u8],
    associations: &[Vec<u8>; 2],
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
    let count = 1 + u32::from(references.windows(4).any(|kind| kind == b"auxl"));
    owners.extend(count.to_be_bytes());
    for (item, own) in associations.iter().enumerate().take(count as usize) {
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
