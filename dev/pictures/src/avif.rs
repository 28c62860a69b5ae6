//! AVIF: AV1 data of an encoder, and image sequences.

use crate::heif::{CodedPicture, Heif, boxed, bytes};

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

    fn coded(self) -> CodedPicture {
        let (configuration, data, nclx) = self.parts();
        CodedPicture { item: *b"av01", property: *b"av1C", size: (32, 16), configuration, data, nclx }
    }
}

impl Heif {
    /// An AVIF with the colour property that the encoder wrote.
    #[must_use]
    pub fn avif(data: Av1) -> Self {
        Self::new(b"avif\0\0\0\0avifmif1miaf", data.coded(), Av1::Alpha.coded())
    }
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
