//! Test pictures, made in code. The same arguments give the same bytes.
#![allow(clippy::missing_panics_doc)] // writing into memory cannot fail

mod avif;
mod baseline;

use std::io::Write as _;

pub use avif::{Av1, Avif};
pub use baseline::Baseline;

use flate2::{Compression, write::ZlibEncoder};

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// The same number for the same place, and no order in them.
#[must_use]
pub fn mixed(x: u32, y: u32) -> u32 {
    (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D)
}

/// A JPEG of flat 8 × 8 blocks, coded by hand so that every freedom of the format can be used: baseline, one value a
/// block, any sampling, interleaved or a scan for each component.
#[derive(Clone, Debug)]
pub struct Jpeg {
    width: u16,
    height: u16,
    /// Horizontal and vertical sampling factors of each component.
    sampling: Vec<(u8, u8)>,
    interleaved: bool,
    segments: Vec<(u8, Vec<u8>)>,
}

impl Jpeg {
    /// A colour picture, YCbCr 4:4:4.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        Self { width, height, sampling: vec![(1, 1); 3], interleaved: true, segments: Vec::new() }
    }

    /// One component.
    #[must_use]
    pub fn gray(mut self) -> Self {
        self.sampling.truncate(1);
        self
    }

    /// Four components, with the Adobe marker that says that they are CMYK and inverted.
    #[must_use]
    pub fn cmyk(mut self) -> Self {
        self.sampling = vec![(1, 1); 4];
        self.with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
    }

    /// The same as [`Self::cmyk`], but its first three components are YCbCr of 255 less what that would store.
    #[must_use]
    pub fn ycck(mut self) -> Self {
        self.sampling = vec![(1, 1); 4];
        self.with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")
    }

    /// Colour at half of the resolution from left to right.
    #[must_use]
    pub fn half_colour_across(mut self) -> Self {
        self.sampling[0] = (2, 1);
        self
    }

    /// Colour at half of the resolution in both directions.
    #[must_use]
    pub fn half_colour(mut self) -> Self {
        self.sampling[0] = (2, 2);
        self
    }

    /// A scan for each component.
    #[must_use]
    pub fn not_interleaved(mut self) -> Self {
        self.interleaved = false;
        self
    }

    /// Another marker segment before the picture.
    #[must_use]
    pub fn with_segment(mut self, marker: u8, body: &[u8]) -> Self {
        self.segments.push((marker, body.to_vec()));
        self
    }

    /// An EXIF segment with this orientation.
    #[must_use]
    pub fn with_orientation(self, tag: u16) -> Self {
        self.with_segment(0xE1, &[b"Exif\0\0", exif(tag, "").as_slice()].concat())
    }

    /// The file. `value(component, x, y)` is the sample of a component at a pixel of the picture, asked once a block.
    pub fn encode(&self, value: impl Fn(usize, u32, u32) -> u8) -> Vec<u8> {
        let mut file = vec![0xFF, 0xD8];
        for (marker, body) in &self.segments {
            segment(&mut file, *marker, body);
        }
        segment(&mut file, 0xDB, &[&[0][..], &[8; 64]].concat());
        let mut frame = vec![8];
        frame.extend(self.height.to_be_bytes());
        frame.extend(self.width.to_be_bytes());
        frame.push(count(self.sampling.len()));
        for (index, (h, v)) in self.sampling.iter().enumerate() {
            frame.extend([count(index + 1), h << 4 | v, 0]);
        }
        segment(&mut file, 0xC0, &frame);
        // Twelve codes of four bits for the sizes of DC differences; one code of one bit for "no AC".
        let lengths = |at: usize, codes: u8| (1..=16).map(move |length| if length == at { codes } else { 0 });
        segment(&mut file, 0xC4, &[0].into_iter().chain(lengths(4, 12)).chain(0..12).collect::<Vec<_>>());
        segment(&mut file, 0xC4, &[0x10].into_iter().chain(lengths(1, 1)).chain([0]).collect::<Vec<_>>());
        let all: Vec<usize> = (0..self.sampling.len()).collect();
        let scans: Vec<&[usize]> = if self.interleaved { vec![&all] } else { all.chunks(1).collect() };
        for components in scans {
            let mut header = vec![count(components.len())];
            for index in components {
                header.extend([count(index + 1), 0]);
            }
            header.extend([0, 63, 0]);
            segment(&mut file, 0xDA, &header);
            file.extend(self.scan(components, &value));
        }
        file.extend([0xFF, 0xD9]);
        file
    }

    fn scan(&self, components: &[usize], value: &impl Fn(usize, u32, u32) -> u8) -> Vec<u8> {
        let (max_h, max_v) =
            self.sampling.iter().fold((1, 1), |(h, v), c| (h.max(u32::from(c.0)), v.max(u32::from(c.1))));
        let mut bits = Bits::default();
        let mut last = vec![128_i32; self.sampling.len()];
        let mut block = |index: usize, column: u32, row: u32| {
            let (h, v) = self.sampling[index];
            let (step_x, step_y) = (8 * max_h / u32::from(h), 8 * max_v / u32::from(v));
            let x = (column * step_x + step_x / 2).min(u32::from(self.width) - 1);
            let y = (row * step_y + step_y / 2).min(u32::from(self.height) - 1);
            let sample = i32::from(value(index, x, y));
            bits.difference(sample - last[index]);
            last[index] = sample;
        };
        if let [index] = *components {
            // A scan of one component has only the blocks that the picture needs.
            let (h, v) = self.sampling[index];
            let blocks = |length: u16, factor: u8, max: u32| (u32::from(length) * u32::from(factor)).div_ceil(8 * max);
            for row in 0..blocks(self.height, v, max_v) {
                (0..blocks(self.width, h, max_h)).for_each(|column| block(index, column, row));
            }
        } else {
            for row in 0..u32::from(self.height).div_ceil(8 * max_v) {
                for column in 0..u32::from(self.width).div_ceil(8 * max_h) {
                    for index in components {
                        let (h, v) = self.sampling[*index];
                        for i in 0..u32::from(h) * u32::from(v) {
                            let (across, down) = (i % u32::from(h), i / u32::from(h));
                            block(*index, column * u32::from(h) + across, row * u32::from(v) + down);
                        }
                    }
                }
            }
        }
        bits.finish()
    }

    /// [`Self::encode`] of a colour picture, from its colours.
    pub fn encode_rgb(&self, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
        self.encode(|component, x, y| ycc(colour(x, y))[component])
    }
}

/// JFIF's colours (ITU-T T.871, section 7).
fn ycc(rgb: Rgb) -> [u8; 3] {
    let [r, g, b] = rgb.map(f64::from);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    [luma, 128.0 + (b - luma) / 1.772, 128.0 + (r - luma) / 1.402].map(|sample| sample.round().clamp(0.0, 255.0) as u8)
}

fn count(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend(u16::try_from(body.len() + 2).unwrap_or(u16::MAX).to_be_bytes());
    file.extend(body);
}

/// Entropy-coded data.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u32,
    length: u32,
}

impl Bits {
    fn push(&mut self, value: u32, length: u32) {
        for i in (0..length).rev() {
            self.pending = self.pending << 1 | (value >> i & 1);
            self.length += 1;
            if self.length == 8 {
                let byte = count(self.pending as usize);
                self.bytes.push(byte);
                if byte == 0xFF {
                    self.bytes.push(0);
                }
                (self.pending, self.length) = (0, 0);
            }
        }
    }

    /// A block: the difference of its DC value, and no AC values.
    fn difference(&mut self, difference: i32) {
        let size = 32 - difference.unsigned_abs().leading_zeros();
        self.push(size, 4);
        let value = if difference < 0 { difference - 1 } else { difference };
        self.push(value.cast_unsigned() & ((1 << size) - 1), size);
        self.push(0, 1);
    }

    fn finish(mut self) -> Vec<u8> {
        while self.length != 0 {
            self.push(1, 1);
        }
        self.bytes
    }
}

/// A TIFF structure as EXIF holds it: an orientation, and a text as the camera's maker.
#[must_use]
pub fn exif(orientation: u16, maker: &str) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\x08\0\x02".to_vec();
    // Maker, ASCII, its length and where it lies: behind the two entries and the end of the directory.
    tiff.extend(b"\x01\x0F\0\x02");
    tiff.extend(u32::try_from(maker.len()).unwrap_or(0).to_be_bytes());
    tiff.extend(38_u32.to_be_bytes());
    tiff.extend(b"\x01\x12\0\x03\0\0\0\x01");
    tiff.extend(orientation.to_be_bytes());
    tiff.extend([0; 6]);
    tiff.extend(maker.bytes());
    tiff
}

/// A PNG of these samples: big-endian where `depth` is 16.
pub fn png(width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, samples: &[u8]) -> Vec<u8> {
    png_with(width, height, colour, depth, samples, &[])
}

/// The same, with more chunks before the pixels.
pub fn png_with(
    width: u32,
    height: u32,
    colour: png::ColorType,
    depth: png::BitDepth,
    samples: &[u8],
    chunks: &[([u8; 4], Vec<u8>)],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().expect("a header into memory");
    for (kind, body) in chunks {
        writer.write_chunk(png::chunk::ChunkType(*kind), body).expect("a chunk into memory");
    }
    writer.write_image_data(samples).expect("as many samples as the size asks for");
    writer.finish().expect("an end into memory");
    file
}

/// A PNG of 8-bit RGB whose pixels come in seven passes (W3C PNG, third edition, section 8.1).
pub fn interlaced_png(width: u32, height: u32, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
    /// Of each pass: the first column and row, and the steps to the next.
    const PASSES: [[u32; 4]; 7] =
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::best());
    for [left, top, across, down] in PASSES {
        // A pass without columns has no rows either.
        for y in (top..height).step_by(down as usize).filter(|_| left < width) {
            let row = (left..width).step_by(across as usize).flat_map(|x| colour(x, y));
            let row: Vec<u8> = std::iter::once(0).chain(row).collect();
            pixels.write_all(&row).expect("into memory");
        }
    }
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth, info.interlaced) = (png::ColorType::Rgb, png::BitDepth::Eight, true);
    let mut file = Vec::new();
    let encoder = png::Encoder::with_info(&mut file, info).expect("no animation");
    let mut writer = encoder.write_header().expect("a header into memory");
    writer.write_chunk(png::chunk::IDAT, &pixels.finish().expect("into memory")).expect("a chunk into memory");
    writer.finish().expect("an end into memory");
    file
}

/// A CMYK profile (ICC.1, lut8Type) of an odd printer: whatever ink there is, it looks like a gray of L* = 50.
#[must_use]
pub fn gray_ink_profile() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for i in 0..9 {
        table.extend(if i % 4 == 0 { 0x1_0000_u32 } else { 0 }.to_be_bytes());
    }
    (0..4).for_each(|_| table.extend(0..=255));
    for corner in 0..16 {
        table.extend([if corner == 0 { 255 } else { 128 }, 128, 128]);
    }
    (0..3).for_each(|_| table.extend(0..=255));
    let mut profile = vec![0; 128];
    let length = 128 + 4 + 12 + table.len();
    profile[..4].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    profile[68..80].copy_from_slice(&[0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    profile.extend(1_u32.to_be_bytes());
    profile.extend(b"A2B0");
    profile.extend(144_u32.to_be_bytes());
    profile.extend(u32::try_from(table.len()).unwrap_or(0).to_be_bytes());
    profile.extend(table);
    profile
}

/// The body of a PNG chunk with a name and compressed data: iCCP, zTXt.
#[must_use]
pub fn compressed_chunk(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(b"name\0\0".to_vec(), Compression::best());
    encoder.write_all(data).expect("into memory");
    encoder.finish().expect("into memory")
}

/// A still WebP in the extended format, with alpha, EXIF and XMP announced, and with these chunks behind the picture of a
/// `simple` one.
#[must_use]
pub fn webp_with(width: u32, height: u32, simple: &[u8], chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
    let mut body = b"WEBPVP8X\x0A\0\0\0\x1C\0\0\0".to_vec();
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    body.extend(&simple[12..]);
    for (kind, data) in chunks {
        body.extend(kind);
        body.extend(length(data));
        body.extend(data);
        body.extend(&[0][..data.len() % 2]);
    }
    [b"RIFF", &length(&body)[..], &body].concat()
}

/// A lossless WebP of these straight RGBA samples.
pub fn webp(width: u32, height: u32, rgba: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    image_webp::WebPEncoder::new(&mut file)
        .encode(rgba, width, height, image_webp::ColorType::Rgba8)
        .expect("as many samples as the size asks for");
    file
}

/// A JPEG XL of [`corners`] at 32 × 16, lossless; with `holes`, of the alpha that [`Av1::Alpha`] has. Made by `cjxl`
/// 0.7.0: `cjxl corners.png corners.jxl -d 0`.
#[must_use]
pub fn jxl(holes: bool) -> Vec<u8> {
    avif::bytes(if holes {
        "ff0ac3c182e24208081000bc004b386998ca83f72b4808809a999731c6e4058400383d0f000873f0174924eff70723ed0721b1bf5f470418\
         d930f002"
    } else {
        "ff0ac341407121080201009c004b386998ca83f72b4808809a9917837881200036713d009cccfc451009fbfdfb01a6e1c00dbc20"
    })
}

/// The same in the container, with a box of its own before the picture.
#[must_use]
pub fn jxl_container(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let boxed = |kind: [u8; 4], body: &[u8]| {
        [&u32::try_from(body.len() + 8).unwrap_or(0).to_be_bytes()[..], &kind, body].concat()
    };
    [
        boxed(*b"JXL ", b"\r\n\x87\n"),
        boxed(*b"ftyp", b"jxl \0\0\0\0jxl "),
        boxed(kind, body),
        boxed(*b"jxlc", &jxl(false)),
    ]
    .concat()
}

/// A bottom-up BMP of 24 bits a pixel.
pub fn bmp(width: u32, height: u32, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in (0..height).rev() {
        for x in 0..width {
            let [r, g, b] = colour(x, y);
            rows.extend([b, g, r]);
        }
        rows.resize(rows.len().next_multiple_of(4), 0);
    }
    let mut file = b"BM".to_vec();
    for value in [54 + u32::try_from(rows.len()).unwrap_or(0), 0, 54, 40, width, height, 24 << 16 | 1, 0, 0, 0, 0, 0, 0]
    {
        file.extend(value.to_le_bytes());
    }
    file.extend(rows);
    file
}

/// A little-endian TIFF of one uncompressed strip. Fields are a tag, and its values as SHORT.
#[derive(Clone, Debug)]
pub struct Tiff {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Channels of a pixel.
    pub channels: u16,
    /// Bits of a channel: 8, or 16 in little-endian order.
    pub bits: u16,
    /// `PhotometricInterpretation`: 1 for gray, 2 for RGB, 5 for CMYK.
    pub photometric: u16,
    /// More tags, each with one SHORT.
    pub fields: Vec<(u16, u16)>,
    /// More tags, each with bytes of its own type: 2 for text, 7 for anything.
    pub blobs: Vec<(u16, u16, Vec<u8>)>,
}

impl Tiff {
    /// The file of these samples.
    #[must_use]
    pub fn encode(&self, samples: &[u8]) -> Vec<u8> {
        let mut heap: Vec<u8> = samples.to_vec();
        let mut entries: Vec<(u16, u16, u32, Vec<u8>)> = Vec::new();
        let mut short = |tag: u16, value: u16| entries.push((tag, 3, 1, value.to_le_bytes().to_vec()));
        let (width, height, photometric) = (self.width, self.height, self.photometric);
        for (tag, value) in
            [(256, width), (257, height), (259, 1), (262, photometric), (277, self.channels), (278, height)]
        {
            short(tag, value);
        }
        self.fields.iter().for_each(|(tag, value)| short(*tag, *value));
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
        entries.push((258, 3, self.channels.into(), self.bits.to_le_bytes().repeat(self.channels.into())));
        entries.push((273, 4, 1, 8_u32.to_le_bytes().to_vec()));
        entries.push((279, 4, 1, length(samples).to_le_bytes().to_vec()));
        entries.extend(self.blobs.iter().map(|(tag, kind, body)| (*tag, *kind, length(body), body.clone())));
        entries.sort_by_key(|entry| entry.0);
        let mut directory = u16::try_from(entries.len()).unwrap_or(0).to_le_bytes().to_vec();
        for (tag, kind, count, mut value) in entries {
            if value.len() > 4 {
                heap.resize(heap.len().next_multiple_of(2), 0);
                let at = 8 + length(&heap);
                heap.extend(value);
                value = at.to_le_bytes().to_vec();
            }
            value.resize(4, 0);
            directory.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat());
        }
        directory.extend([0; 4]);
        heap.resize(heap.len().next_multiple_of(2), 0);
        [&b"II*\0"[..], &(8 + length(&heap)).to_le_bytes(), &heap, &directory].concat()
    }
}

/// A frame of a [`gif`].
#[derive(Clone, Debug)]
pub struct GifFrame {
    /// Left, top, width, height.
    pub place: [u16; 4],
    /// All of its pixels; `None` for transparent.
    pub colour: Option<Rgb>,
    /// Hundredths of a second.
    pub delay: u16,
    /// What becomes of it afterwards.
    pub dispose: gif::DisposalMethod,
}

/// A GIF of plain frames, repeated as often again as it says.
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

/// A picture with a colour in each corner, to see which way it is turned: red, green / blue, white.
#[must_use]
pub fn corners(width: u32, height: u32, x: u32, y: u32) -> Rgb {
    match (x < width / 2, y < height / 2) {
        (true, true) => [255, 0, 0],
        (false, true) => [0, 255, 0],
        (true, false) => [0, 0, 255],
        (false, false) => [255, 255, 255],
    }
}

/// A JPEG that shows [`corners`] upright at `width` × `height` when it is turned as its EXIF orientation says.
#[must_use]
pub fn turned_jpeg(width: u16, height: u16, orientation: u16) -> Vec<u8> {
    let (stored_width, stored_height) = if orientation >= 5 { (height, width) } else { (width, height) };
    let (right, bottom) = (u32::from(stored_width) - 1, u32::from(stored_height) - 1);
    let upright = |x: u32, y: u32| match orientation {
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (bottom - y, x),
        7 => (bottom - y, right - x),
        8 => (y, right - x),
        _ => (x, y),
    };
    Jpeg::new(stored_width, stored_height).with_orientation(orientation).encode_rgb(|x, y| {
        let (x, y) = upright(x, y);
        corners(width.into(), height.into(), x, y)
    })
}
