//! Baseline JPEG with AC coefficients.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// A baseline JPEG with AC coefficients, encoded at quality 98.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Chroma subsampling.
    pub sampling: SamplingFactor,
    /// MCUs between restart markers; 0: no markers.
    pub interval: u16,
    /// One component, with Huffman tables made for the picture.
    pub gray: bool,
}

impl Baseline {
    /// A colour picture, 4:4:4, without restart markers.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        Self { width, height, sampling: SamplingFactor::F_1_1, interval: 0, gray: false }
    }

    /// The file of a picture whose pixel at `x`, `y` has this colour.
    #[must_use]
    pub fn encode(&self, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 98);
        encoder.set_sampling_factor(self.sampling);
        encoder.set_optimized_huffman_tables(self.gray);
        if self.interval > 0 {
            encoder.set_restart_interval(self.interval);
        }
        let width = u32::from(self.width);
        let places = (0..u32::from(self.height)).flat_map(|y| (0..width).map(move |x| (x, y)));
        let channels = if self.gray { 1 } else { 3 };
        let samples: Vec<u8> = places.flat_map(|(x, y)| colour(x, y).into_iter().take(channels)).collect();
        let kind = if self.gray { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(&samples, self.width, self.height, kind).expect("as many samples as the size asks for");
        file
    }
}
