//! How much memory a picture needs, from its header. What decoders and encoders need, their codecs say.

use std::num::NonZeroU32;

use darkroom_container::header::Header;
use darkroom_model::{
    RenditionFormat, SourceFormat,
    recipe::{Fit, Recipe, Resize},
};

use crate::{
    codecs::{decoder, encoder},
    plan, source,
};

/// The memory that rendering a picture needs, in bytes, if its pixels are noise, the worst case for its header.
///
/// The source is in memory throughout; the decoder's memory is freed before the first rendition is encoded. The factors
/// are 1.25 times those that `worker/examples/memory.rs` measures. A picture that needs more has another attempt with a
/// multiple.
#[derive(Clone, Debug)]
pub struct MemoryEstimate {
    /// From the first step to the last.
    throughout: u64,
    /// While the source is decoded.
    decoding: u64,
    /// While renditions are encoded, on the picture's first core.
    encoding: u64,
    /// While renditions are encoded, on each spare core, in descending order.
    spare_core: Vec<u64>,
}

impl MemoryEstimate {
    /// The memory that rendering a picture by this recipe needs. `source` is its file.
    pub fn of_file(header: &Header, source: &[u8], recipe: &Recipe) -> Self {
        Self::new(header, source.len() as u64, &rendition_pixels(Some(source), header, recipe), recipe)
    }

    /// The memory that rendering a picture needs, by what is known without its file: of the two ways in which it may be
    /// oriented, that which needs more. `source_bytes` is the size of its file.
    pub fn of_header(header: &Header, source_bytes: u64, recipe: &Recipe) -> Self {
        Self::new(header, source_bytes, &rendition_pixels(None, header, recipe), recipe)
    }

    /// `outputs`: pixels of the renditions, the largest first.
    fn new(header: &Header, source_bytes: u64, outputs: &[u64], recipe: &Recipe) -> Self {
        let output = outputs.first().copied().unwrap_or_default();
        let animation = if header.is_animated() { 32 * header.frame_pixels() + 2 * header.pixels() } else { 0 };
        let per_pixel = BytesPerPixel::of(header, recipe);
        Self {
            throughout: BASE + 2 * source_bytes + animation + RENDITION * outputs.iter().sum::<u64>(),
            decoding: header.decoded_bytes() + decoder(header.format).decoder_bytes(header) + LINEAR * output,
            encoding: per_pixel.encoded * output,
            // Spare cores encode WebP, the largest first.
            spare_core: outputs.iter().map(|output| STACK + per_pixel.webp_on_spare_core * output).collect(),
        }
    }

    /// The memory with this number of spare cores, in bytes.
    pub fn bytes(&self, spare_cores: u32) -> u64 {
        let spare: u64 = self.spare_core.iter().take(spare_cores as usize).sum();
        self.throughout + self.decoding.max(self.encoding + spare)
    }
}

/// The memory that an overlay needs in addition, in bytes: it is decoded, and kept in linear light and in sRGB at no
/// more than its own size. `file` is its file.
pub fn overlay_memory(header: &Header, file: &[u8]) -> u64 {
    let one_pixel = Resize { width: Some(NonZeroU32::MIN), height: Some(NonZeroU32::MIN), ..Resize::default() };
    MemoryEstimate::of_file(header, file, &Recipe::Resize(one_pixel)).bytes(0) - BASE + 12 * header.frame_pixels()
}

/// The number of pixels of each size that a recipe makes of a picture, the largest first. Empty where the recipe cannot be
/// met. Where the orientation is unknown without decoding, or without the file, the larger of both possibilities.
fn rendition_pixels(source: Option<&[u8]>, header: &Header, recipe: &Recipe) -> Vec<u64> {
    let pixels = |(width, height)| {
        let plan = plan::plan(recipe, width, height, header.frames).ok();
        let sizes = plan.iter().flat_map(|plan| plan.targets.iter().map(|t| plan.extend.size((t.width, t.height))));
        sizes.map(|(width, height)| u64::from(width) * u64::from(height)).collect::<Vec<_>>()
    };
    let stored = (header.width, header.height);
    match source.and_then(|source| source::quick_orientation(source, header)) {
        Some(orientation) => pixels(orientation.map_size(stored)),
        None => pixels(stored).max(pixels((stored.1, stored.0))),
    }
}

/// Bytes per pixel of a rendition while it is encoded: in linear light, in sRGB, and the encoder's own.
struct BytesPerPixel {
    /// In the format that needs the most.
    encoded: u64,
    /// As WebP on a spare core, without the linear light, which is counted once.
    webp_on_spare_core: u64,
}

impl BytesPerPixel {
    fn of(header: &Header, recipe: &Recipe) -> Self {
        let has_transparent_bars = matches!(recipe, Recipe::Resize(Resize { fit: Fit::Contain, background: None, .. }));
        // One or three channels of 8 or 16 bits. Not one of 16, which could also be grey and alpha of 8 bits each.
        let opaque = !has_transparent_bars
            && (header.format == SourceFormat::Jpeg || matches!(header.bits_per_pixel, 8 | 24 | 48));
        let quality = recipe.highest_quality();
        let webp = encoder(RenditionFormat::Webp).encoder_bytes_per_pixel(quality, opaque);
        let encoded = match recipe.format() {
            Some(format) => encoder(format).encoder_bytes_per_pixel(quality, opaque),
            // A JPEG becomes a PNG only if the recipe says so.
            None if header.format == SourceFormat::Jpeg => webp,
            // Noise does not become a PNG either.
            None if opaque => GRAPHIC,
            None => encoder(RenditionFormat::Png).encoder_bytes_per_pixel(quality, opaque),
        };
        let encoded = if recipe.is_scored() { encoded.max(LINEAR + SCORE) } else { encoded };
        Self { encoded, webp_on_spare_core: webp - LINEAR }
    }
}

/// Bytes per pixel of each size of a rendition's files, which the worker holds until they are stored: of a pair, two files of
/// noise.
const RENDITION: u64 = 4;
/// Memory of any picture, in bytes: tables, profiles, the allocator's own.
const BASE: u64 = 32 << 20;
/// Stack of a thread, in bytes.
const STACK: u64 = 4 << 20;
/// Bytes per pixel in linear light: four samples of 16 bits.
const LINEAR: u64 = 8;
/// Bytes per pixel of a PNG of a graphic; the palette is computed in floating point.
const GRAPHIC: u64 = 52;
/// Bytes per pixel of the comparison of a rendition with its original (SSIMULACRA2).
const SCORE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_alone_gives_the_estimate_of_the_worse_orientation() {
        let header = Header {
            format: SourceFormat::Jpeg,
            width: 6000,
            height: 4000,
            frames: 1,
            scans: 1,
            bits_per_pixel: 24,
            decoded_pixels: 24_000_000,
        };
        let file = vec![0; 8 << 20];
        let progressive = Header { scans: 10, ..header };
        let transparent = Header { format: SourceFormat::Png, bits_per_pixel: 32, ..header };
        for header in [header, progressive, transparent] {
            let before_reading = MemoryEstimate::of_header(&header, file.len() as u64, &Recipe::Standard).bytes(0);
            let (width, height) = (header.height, header.width);
            let of = |header| MemoryEstimate::of_file(&header, &file, &Recipe::Standard).bytes(0);
            assert_eq!(before_reading, of(header).max(of(Header { width, height, ..header })), "in either orientation");
        }
    }
}
