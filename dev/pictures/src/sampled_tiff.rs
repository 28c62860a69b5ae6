//! TIFF of every layout.

use std::io::Write as _;

use fax::{
    BitWriter as _, Bits, Color, VecWriter,
    encoder::Encoder,
    maps::{black, white},
};
use flate2::{Compression, write::ZlibEncoder};
use weezl::{BitOrder, encode};

/// A TIFF (revision 6.0) in any arrangement of its samples. The result of contradictory fields is an invalid file.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledTiff {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Samples per pixel.
    pub channels: u32,
    /// Bits per sample, 1 to 32.
    pub bits: u32,
    /// `PhotometricInterpretation`.
    pub photometric: u16,
    /// `Compression`: 1, 2, 3, 4, 5, 8 or 32773.
    pub compression: u16,
    /// LZW as before TIFF 6.0.
    pub old_lzw: bool,
    /// `Predictor`: 1, or 2 for bits of 8, 16 and 32.
    pub predictor: u16,
    /// `FillOrder`.
    pub fill_order: u16,
    /// `PlanarConfiguration`.
    pub planar: u16,
    /// Width and height of tiles, in pixels; strips where there is none.
    pub tile: Option<(u32, u32)>,
    /// Rows of a strip.
    pub rows_per_strip: u32,
    /// Byte order.
    pub big_endian: bool,
    /// More tags with SHORTs.
    pub fields: Vec<(u16, Vec<u16>)>,
    /// More tags with bytes: tag, type (2 for ASCII, 7 for UNDEFINED), bytes.
    pub blobs: Vec<(u16, u16, Vec<u8>)>,
}

impl SampledTiff {
    /// Gray of 8 bits in one strip, not compressed.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            channels: 1,
            bits: 8,
            photometric: 1,
            compression: 1,
            old_lzw: false,
            predictor: 1,
            fill_order: 1,
            planar: 1,
            tile: None,
            rows_per_strip: height,
            big_endian: false,
            fields: Vec::new(),
            blobs: Vec::new(),
        }
    }

    /// The file of the samples that `sample(channel, x, y)` gives. Where tiles reach beyond the picture, they hold zeros.
    pub fn encode(&self, sample: impl Fn(u32, u32, u32) -> u32) -> Vec<u8> {
        let (chunk_width, chunk_height) = self.tile.unwrap_or((self.width, self.rows_per_strip));
        let planes: Vec<Vec<u32>> = if self.planar == 2 {
            (0..self.channels).map(|channel| vec![channel]).collect()
        } else {
            vec![(0..self.channels).collect()]
        };
        let mut chunks = Vec::new();
        for channels in planes {
            for top in (0..self.height).step_by(chunk_height as usize) {
                for left in (0..self.width).step_by(chunk_width as usize) {
                    let height = if self.tile.is_some() { chunk_height } else { chunk_height.min(self.height - top) };
                    let rows = (top..top + height).map(|y| {
                        let samples = (left..left + chunk_width).flat_map(|x| channels.iter().map(move |c| (*c, x, y)));
                        let inside = |x, y| x < self.width && y < self.height;
                        samples.map(|(c, x, y)| if inside(x, y) { sample(c, x, y) } else { 0 }).collect()
                    });
                    chunks.push(self.chunk(rows.collect(), channels.len()));
                }
            }
        }
        self.file(&chunks)
    }

    /// The file of these strips or tiles, compressed as `compression` says.
    #[must_use]
    pub fn file(&self, chunks: &[Vec<u8>]) -> Vec<u8> {
        let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        let mut heap: Vec<u8> = Vec::new();
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        for chunk in chunks {
            offsets.push(8 + length(&heap));
            lengths.push(length(chunk));
            heap.extend(chunk);
        }
        let mut entries: Vec<(u16, u16, u32, Vec<u8>)> = Vec::new();
        let mut shorts = |tag: u16, values: &[u16]| {
            let count = u32::try_from(values.len()).unwrap_or(0);
            entries.push((tag, 3, count, values.iter().flat_map(|value| self.bytes((*value).into(), 2)).collect()));
        };
        shorts(256, &[short(self.width)]);
        shorts(257, &[short(self.height)]);
        shorts(258, &vec![short(self.bits); self.channels as usize]);
        shorts(259, &[self.compression]);
        shorts(262, &[self.photometric]);
        shorts(266, &[self.fill_order]);
        shorts(277, &[short(self.channels)]);
        shorts(284, &[self.planar]);
        shorts(317, &[self.predictor]);
        self.fields.iter().for_each(|(tag, values)| shorts(*tag, values));
        let tags = if let Some((width, height)) = self.tile {
            shorts(322, &[short(width)]);
            shorts(323, &[short(height)]);
            (324, 325)
        } else {
            shorts(278, &[short(self.rows_per_strip)]);
            (273, 279)
        };
        for (tag, values) in [(tags.0, offsets), (tags.1, lengths)] {
            let count = u32::try_from(values.len()).unwrap_or(0);
            entries.push((tag, 4, count, values.into_iter().flat_map(|value| self.bytes(value, 4)).collect()));
        }
        entries.extend(self.blobs.iter().map(|(tag, kind, body)| (*tag, *kind, length(body), body.clone())));
        entries.sort_by_key(|entry| entry.0);
        let mut directory = self.bytes(u32::try_from(entries.len()).unwrap_or(0), 2);
        for (tag, kind, count, mut value) in entries {
            if value.len() > 4 {
                heap.resize(heap.len().next_multiple_of(2), 0);
                let at = 8 + length(&heap);
                heap.extend(value);
                value = self.bytes(at, 4);
            }
            value.resize(4, 0);
            directory
                .extend([self.bytes(tag.into(), 2), self.bytes(kind.into(), 2), self.bytes(count, 4), value].concat());
        }
        directory.extend([0; 4]);
        heap.resize(heap.len().next_multiple_of(2), 0);
        let start: &[u8] = if self.big_endian { b"MM\0*" } else { b"II*\0" };
        [start, &self.bytes(8 + length(&heap), 4), &heap, &directory].concat()
    }

    /// The lowest bytes of a value in the file's order.
    fn bytes(&self, value: u32, count: usize) -> Vec<u8> {
        if self.big_endian { value.to_be_bytes()[4 - count..].to_vec() } else { value.to_le_bytes()[..count].to_vec() }
    }

    /// The bytes of a strip or tile, compressed.
    #[must_use]
    pub fn compress(&self, bytes: &[u8]) -> Vec<u8> {
        match self.compression {
            5 if self.old_lzw => encode::Encoder::new(BitOrder::Lsb, 8).encode(bytes).unwrap_or_default(),
            5 => encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(bytes).unwrap_or_default(),
            8 => zlib(bytes),
            32_773 => pack_bits(bytes),
            _ => bytes.to_vec(),
        }
    }

    fn chunk(&self, mut rows: Vec<Vec<u32>>, channels: usize) -> Vec<u8> {
        let compressed = match self.compression {
            2 => rows.iter().flat_map(|row| run_lengths(row, false)).collect(),
            3 => rows.iter().flat_map(|row| run_lengths(row, true)).collect(),
            4 => group4(&rows),
            compression => {
                if self.predictor == 2 && matches!(compression, 5 | 8) {
                    for row in &mut rows {
                        for at in (channels..row.len()).rev() {
                            row[at] = row[at].wrapping_sub(row[at - channels]);
                        }
                    }
                }
                self.compress(&rows.iter().flat_map(|row| self.pack(row)).collect::<Vec<u8>>())
            }
        };
        if self.fill_order == 2 { compressed.iter().map(|byte| byte.reverse_bits()).collect() } else { compressed }
    }

    fn pack(&self, row: &[u32]) -> Vec<u8> {
        if matches!(self.bits, 8 | 16 | 24 | 32) {
            return row.iter().flat_map(|value| self.bytes(*value, self.bits as usize / 8)).collect();
        }
        let mut bits: Vec<bool> = Vec::new();
        for value in row {
            bits.extend((0..self.bits).rev().map(|bit| value >> bit & 1 == 1));
        }
        let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | u8::from(*bit) << (7 - i));
        bits.chunks(8).map(byte).collect()
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(0)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Literals of at most 100 bytes, runs of three bytes and more, and an empty operation after each.
fn pack_bits(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for chunk in bytes.chunk_by(|a, b| a == b) {
        for run in chunk.chunks(100) {
            let length = u8::try_from(run.len()).unwrap_or(0);
            match length {
                0..3 => {
                    packed.push(length - 1);
                    packed.extend(run);
                }
                _ => packed.extend([(257 - u16::from(length)).to_le_bytes()[0], run[0]]),
            }
            packed.push(128);
        }
    }
    packed
}

/// A row in modified Huffman codes, after an end-of-line code where `eol` says so; from a new byte on.
fn run_lengths(row: &[u32], eol: bool) -> Vec<u8> {
    let mut writer = VecWriter::new();
    let mut write = |bits: Option<Bits>| bits.map(|bits| writer.write(bits));
    if eol {
        write(Some(Bits { data: 1, len: 12 }));
    }
    let mut is_black = false;
    let mut rest = row;
    while !rest.is_empty() || is_black {
        let length = rest.iter().take_while(|value| (**value == 1) == is_black).count();
        let code = |run: u16| if is_black { black::encode(run) } else { white::encode(run) };
        let run = u16::try_from(length).unwrap_or(0);
        if run >= 64 {
            write(code(run / 64 * 64));
        }
        write(code(run % 64));
        rest = &rest[length..];
        is_black = !is_black;
        if rest.is_empty() {
            break;
        }
    }
    writer.finish()
}

fn group4(rows: &[Vec<u32>]) -> Vec<u8> {
    let mut encoder = Encoder::new(VecWriter::new());
    for row in rows {
        let width = u16::try_from(row.len()).unwrap_or(0);
        let colours = row.iter().map(|value| if *value == 1 { Color::Black } else { Color::White });
        let Ok(()) = encoder.encode_line(colours, width);
    }
    let Ok(writer) = encoder.finish();
    writer.finish()
}
