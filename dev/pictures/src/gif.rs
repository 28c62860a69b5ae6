//! GIF.

use crate::Rgb;

/// A frame of a [`gif()`].
#[derive(Clone, Debug)]
pub struct GifFrame {
    /// Left, top, width, height.
    pub place: [u16; 4],
    /// The colour of all pixels; `None`: transparent.
    pub colour: Option<Rgb>,
    /// Delay in hundredths of a second.
    pub delay: u16,
    /// Disposal method.
    pub dispose: gif::DisposalMethod,
}

/// A GIF of frames with one colour each.
pub fn gif(width: u16, height: u16, repeat: gif::Repeat, frames: &[GifFrame]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, width, height, &[]).expect("a header into memory");
    encoder.set_repeat(repeat).expect("into memory");
    for GifFrame { place: [left, top, width, height], colour, delay, dispose } in frames {
        let frame = gif::Frame {
            left: *left,
            top: *top,
            width: *width,
            height: *height,
            delay: *delay,
            dispose: *dispose,
            transparent: colour.is_none().then_some(0),
            palette: Some([colour.unwrap_or_default(), [0; 3]].concat()),
            buffer: vec![0; usize::from(*width) * usize::from(*height)].into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("a frame into memory");
    }
    drop(encoder);
    file
}

/// A GIF of raw blocks, valid or not.
#[derive(Clone, Debug)]
pub struct RawGif {
    /// The file so far, without its trailer.
    pub bytes: Vec<u8>,
}

impl RawGif {
    /// A logical screen with a Global Color Table of 2, 4, … entries; without one where `palette` is empty.
    #[must_use]
    pub fn new(width: u16, height: u16, palette: &[Rgb]) -> Self {
        let mut bytes = b"GIF89a".to_vec();
        bytes.extend([width, height].map(u16::to_le_bytes).concat());
        bytes.extend([color_table_flags(palette), 0, 0]);
        bytes.extend(palette.concat());
        Self { bytes }
    }

    /// A graphic control extension with a delay of 0.1 s.
    #[must_use]
    pub fn control(mut self, disposal: u8, transparent: Option<u8>) -> Self {
        let flags = disposal << 2 | u8::from(transparent.is_some());
        self.bytes.extend([0x21, 0xF9, 4, flags, 10, 0, transparent.unwrap_or(0), 0]);
        self
    }

    /// An application extension with a number of repetitions; 0 means forever.
    #[must_use]
    pub fn repetitions(mut self, name: &[u8; 11], count: u16) -> Self {
        self.bytes.extend([0x21, 0xFF, 11]);
        self.bytes.extend(name);
        self.bytes.extend([3, 1]);
        self.bytes.extend(count.to_le_bytes());
        self.bytes.push(0);
        self
    }

    /// A frame at left, top, width and height whose pixels all have this index, less than 128; with a Local Color Table where
    /// `palette` is not empty.
    #[must_use]
    pub fn image(mut self, place: [u16; 4], palette: &[Rgb], index: u8) -> Self {
        /// Codes of 8 bits, and the table never grows: it is cleared before.
        const CODE_SIZE: u8 = 7;
        const CLEAR: u8 = 128;
        const END: u8 = 129;
        let pixels = vec![index; usize::from(place[2]) * usize::from(place[3])];
        let mut data: Vec<u8> = pixels.chunks(100).flat_map(|chunk| [&[CLEAR][..], chunk].concat()).collect();
        data.push(END);
        self.bytes.push(0x2C);
        self.bytes.extend(place.map(u16::to_le_bytes).concat());
        self.bytes.push(color_table_flags(palette));
        self.bytes.extend(palette.concat());
        self.bytes.push(CODE_SIZE);
        for block in data.chunks(255) {
            self.bytes.push(u8::try_from(block.len()).unwrap_or(0));
            self.bytes.extend(block);
        }
        self.bytes.push(0);
        self
    }

    /// The file with its trailer.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0x3B);
        self.bytes
    }
}

fn color_table_flags(palette: &[Rgb]) -> u8 {
    match palette.len() {
        0 => 0,
        length => 0x80 | u8::try_from(length.ilog2() - 1).unwrap_or(0),
    }
}
