//! How much memory a picture needs, from its header.

use std::num::NonZeroU32;

use darkroom_container::header::Header;
use darkroom_model::{
    RenditionFormat, SourceFormat,
    recipe::{Fit, Quality, Recipe, Resize},
};
use darkroom_shared::catalog::UnrenderedImage;

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
    /// The memory with this number of spare cores, in bytes.
    pub fn bytes(&self, spare_cores: u32) -> u64 {
        let spare: u64 = self.spare_core.iter().take(spare_cores as usize).sum();
        self.throughout + self.decoding.max(self.encoding + spare)
    }
}

/// The memory that rendering a picture by this recipe needs. `source` is its file.
pub fn estimate(header: &Header, source: &[u8], recipe: &Recipe) -> MemoryEstimate {
    let outputs = darkroom_pipeline::rendition_pixels(Some(source), header, recipe);
    of_header(header, source.len() as u64, &outputs, recipe)
}

/// The memory that rendering an image needs, by what the catalog knows of it: of the two ways in which a picture may be
/// oriented, that which needs more.
pub fn estimate_before_reading(image: &UnrenderedImage) -> MemoryEstimate {
    let UnrenderedImage { header, bytes, recipe } = image;
    let outputs = darkroom_pipeline::rendition_pixels(None, header, recipe);
    of_header(header, *bytes, &outputs, recipe)
}

fn of_header(header: &Header, source_bytes: u64, outputs: &[u64], recipe: &Recipe) -> MemoryEstimate {
    let area = u64::from(header.width) * u64::from(header.height);
    let output = outputs.first().copied().unwrap_or_default();
    let decoded = area * u64::from(header.bits_per_pixel.max(8)).div_ceil(8);
    // The decoder keeps all coefficients of a progressive JPEG, 16 bits each, whatever its subsampling.
    let coefficients = if header.format == SourceFormat::Jpeg && header.scans > 1 { 2 * decoded } else { 0 };
    let decoder = match header.format {
        SourceFormat::Jpeg => area,
        SourceFormat::Png | SourceFormat::Webp | SourceFormat::Gif | SourceFormat::Tiff | SourceFormat::Bmp => {
            // A frame or a tile that is larger than the picture is decoded as a whole.
            let sample_bytes = u64::from(header.bits_per_pixel).div_ceil(8).max(8);
            8 * area + sample_bytes * header.decoded_pixels.saturating_sub(area)
        }
        // Their decoders keep planes besides the picture: AVIF in 16 bits, JPEG XL in floating point.
        SourceFormat::Avif => 16 * area,
        SourceFormat::Jxl => 32 * area,
    };
    let animation = if header.is_animated() { 32 * area + 2 * header.pixels() } else { 0 };
    let renditions = RENDITION * outputs.iter().sum::<u64>();
    let per_pixel = BytesPerPixel::of(header, recipe);
    MemoryEstimate {
        throughout: BASE + 2 * source_bytes + animation + renditions,
        decoding: coefficients + decoded + decoder + LINEAR * output,
        encoding: per_pixel.encoded * output,
        // Spare cores encode WebP, the largest first.
        spare_core: outputs.iter().map(|output| STACK + per_pixel.webp_on_spare_core * output).collect(),
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
        let lossy = if quality.get() <= MAX_COARSE_QUALITY { LOSSY } else { LOSSY_FINE };
        let webp = if opaque { lossy } else { 2 * lossy };
        let encoded = match recipe.format() {
            Some(RenditionFormat::Jpeg) => lossy,
            Some(RenditionFormat::Webp) => webp,
            Some(RenditionFormat::Avif) if quality <= Quality::DEFAULT => AVIF,
            Some(RenditionFormat::Avif) => AVIF_FINE,
            Some(RenditionFormat::Png) if quality == Quality::MAX => LOSSLESS,
            Some(RenditionFormat::Png) if opaque => PALETTE,
            // A JPEG becomes a PNG only if the recipe says so.
            None if header.format == SourceFormat::Jpeg => webp,
            // Noise does not become a PNG either.
            None if opaque => GRAPHIC,
            Some(RenditionFormat::Png) | None => TRANSPARENT_PALETTE,
        };
        let encoded = if recipe.is_scored() { encoded.max(LINEAR + SCORE) } else { encoded };
        Self { encoded, webp_on_spare_core: webp - LINEAR }
    }
}

/// The memory that an overlay needs in addition, in bytes: it is decoded, and kept in linear light and in sRGB at no
/// more than its own size. `file` is its file.
pub fn overlay_bytes(header: &Header, file: &[u8]) -> u64 {
    let area = u64::from(header.width) * u64::from(header.height);
    let one_pixel = Resize { width: Some(NonZeroU32::MIN), height: Some(NonZeroU32::MIN), ..Resize::default() };
    estimate(header, file, &Recipe::Resize(one_pixel)).bytes(0) - BASE + 12 * area
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
/// Up to this quality, quantization removes most of the noise.
const MAX_COARSE_QUALITY: u8 = 90;
/// Bytes per pixel of JPEG, and of WebP without alpha; with alpha twice as much.
const LOSSY: u64 = 28;
/// The same at a quality of 100, which keeps all of the noise.
const LOSSY_FINE: u64 = 42;
/// Bytes per pixel of a lossless PNG.
const LOSSLESS: u64 = 52;
/// Bytes per pixel of a PNG of a graphic; the palette is computed in floating point.
const GRAPHIC: u64 = 52;
/// Bytes per pixel of a PNG with a palette of noise, which has as many colours as pixels.
const PALETTE: u64 = 100;
/// The same with alpha.
const TRANSPARENT_PALETTE: u64 = 128;
/// Bytes per pixel of the AV1 encoder.
const AVIF: u64 = 96;
/// The same above the default quality.
const AVIF_FINE: u64 = 250;
/// Bytes per pixel of the comparison of a rendition with its original (SSIMULACRA2).
const SCORE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_needs_what_the_catalog_tells_of_it() {
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
            let image = UnrenderedImage { header, bytes: file.len() as u64, recipe: Recipe::Standard };
            let before_reading = estimate_before_reading(&image).bytes(0);
            let (width, height) = (header.height, header.width);
            let of = |header| estimate(&header, &file, &Recipe::Standard).bytes(0);
            assert_eq!(before_reading, of(header).max(of(Header { width, height, ..header })), "in either orientation");
        }
    }
}
