//! JPEG of flat blocks.

use crate::{Rgb, corners, exif};

/// A baseline JPEG (ITU-T T.81) of flat 8 × 8 blocks, without AC coefficients. Written here and not by a library, so
/// that tests have every sampling factor, interleaved and non-interleaved scans, and any segment.
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

    /// Four components with an Adobe segment for inverted CMYK.
    #[must_use]
    pub fn cmyk(mut self) -> Self {
        self.sampling = vec![(1, 1); 4];
        self.with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
    }

    /// [`Self::cmyk`] with YCbCr of the inverted first three components (YCCK).
    #[must_use]
    pub fn ycck(mut self) -> Self {
        self.sampling = vec![(1, 1); 4];
        self.with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")
    }

    /// Chroma subsampling 4:2:2.
    #[must_use]
    pub fn half_colour_across(mut self) -> Self {
        self.sampling[0] = (2, 1);
        self
    }

    /// Chroma subsampling 4:2:0.
    #[must_use]
    pub fn half_colour(mut self) -> Self {
        self.sampling[0] = (2, 2);
        self
    }

    /// Non-interleaved: one scan per component.
    #[must_use]
    pub fn not_interleaved(mut self) -> Self {
        self.interleaved = false;
        self
    }

    /// One more marker segment before the frame.
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

    /// The file. `value(component, x, y)` is the sample of a component at a pixel; it is called once per block.
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
        // Huffman tables: twelve codes of four bits for the DC difference categories; one code of one bit for EOB.
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
        let mut bits = BitWriter::default();
        let mut dc_predictors = vec![128_i32; self.sampling.len()];
        let mut block = |index: usize, column: u32, row: u32| {
            let (h, v) = self.sampling[index];
            let (step_x, step_y) = (8 * max_h / u32::from(h), 8 * max_v / u32::from(v));
            let x = (column * step_x + step_x / 2).min(u32::from(self.width) - 1);
            let y = (row * step_y + step_y / 2).min(u32::from(self.height) - 1);
            let sample = i32::from(value(index, x, y));
            bits.write_block(sample - dc_predictors[index]);
            dc_predictors[index] = sample;
        };
        if let [index] = *components {
            // A non-interleaved scan has no padding blocks (T.81, A.2.2).
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

    /// [`Self::encode`] from the RGB colours of the pixels.
    pub fn encode_rgb(&self, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
        self.encode(|component, x, y| ycc(colour(x, y))[component])
    }
}

/// YCbCr as in JFIF (ITU-T T.871, section 7).
fn ycc(rgb: Rgb) -> [u8; 3] {
    let [r, g, b] = rgb.map(f64::from);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
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

/// Entropy-coded data with byte stuffing (T.81, F.1.2.3).
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u32,
    length: u32,
}

impl BitWriter {
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

    /// Writes a block: its DC difference and EOB.
    fn write_block(&mut self, difference: i32) {
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

/// A JPEG with this EXIF orientation that shows [`corners`] at `width` × `height` once the orientation is applied.
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
