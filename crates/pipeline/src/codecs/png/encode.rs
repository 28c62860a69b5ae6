//! PNG from pixels: with a palette where that looks the same, else without loss.

use darkroom_model::recipe::{Effort, Quality};
use imagequant::{Attributes, RGBA};
use oxipng::{BitDepth, ColorType, Deflater, FilterStrategy, Options, RGBA8, RawImage, StripChunks, indexset};

use darkroom_raster::{Channels, Raster};

use crate::RenderError;

/// imagequant's speed, 1 (best) to 10 (fastest), and libdeflate's level, 1 to 12, for a palette. 4 and 9 take a quarter more
/// time than 6 and 7 and save 1 % of the bytes; from speed 7 on imagequant dithers without regard to the picture.
const fn palette_effort(effort: Effort) -> (i32, u8) {
    match effort {
        Effort::Speed => (10, 6),
        Effort::Balanced => (6, 7),
        Effort::Best => (1, 12),
    }
}

/// Encodes with a palette of as few colours as `quality` allows, or without loss where 256 colours are too few. Quality 100
/// is lossless. So is gray, which has 256 levels at most; gray with transparency only where that makes the smaller file.
pub(super) fn encode(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
    let gray = picture.is_gray();
    if quality.get() == 100 || (gray && !picture.channels.has_alpha()) {
        return lossless(picture, effort);
    }
    let Some(png) = palette(picture, quality, effort)? else { return lossless(picture, effort) };
    if gray {
        let lossless = lossless(picture, effort)?;
        return Ok(if lossless.len() < png.len() { lossless } else { png });
    }
    Ok(png)
}

/// The lowest quality of a palette that is accepted, and the target quality, on imagequant's scale, which is stricter than
/// JPEG's. At quality 80 the target is 97, and graphics have an SSIMULACRA2 of 83. A target of 95 lowers it by 2 and saves 4 %
/// of the bytes; lossless files are three times as large.
const fn palette_quality(quality: Quality) -> (u8, u8) {
    let quality = quality.get();
    (quality / 4 * 3, 100 - (100 - quality) / 6)
}

/// The strength of error diffusion, 0 to 1, relative to imagequant's own choice for each pixel. 1 hides banding in gradients a
/// little better: one point of SSIMULACRA2 for 10 % more bytes. 0 saves 15 % of the bytes, and banding is visible.
const DITHERING: f32 = 0.5;

fn palette(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Option<Vec<u8>>, RenderError> {
    let (worst, wanted) = palette_quality(quality);
    let (speed, compression) = palette_effort(effort);
    let mut attributes = Attributes::new();
    attributes.set_speed(speed).map_err(RenderError::internal)?;
    attributes.set_quality(worst, wanted).map_err(RenderError::internal)?;
    let rgba = picture.to_rgba();
    let pixels: Vec<RGBA> = rgba.chunks_exact(4).map(|p| RGBA::new(p[0], p[1], p[2], p[3])).collect();
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut image = attributes.new_image(pixels, width, height, 0.0).map_err(RenderError::internal)?;
    let mut result = match attributes.quantize(&mut image) {
        Ok(result) => result,
        Err(imagequant::Error::QualityTooLow) => return Ok(None),
        Err(error) => return Err(RenderError::internal(error)),
    };
    result.set_dithering_level(DITHERING).map_err(RenderError::internal)?;
    let (palette, indices) = result.remapped(&mut image).map_err(RenderError::internal)?;
    let palette: Vec<RGBA8> = palette.into_iter().map(|c| RGBA8::new(c.r, c.g, c.b, c.a)).collect();
    let options = Options {
        // Neighbouring palette indices are unrelated, so filters do not help.
        filters: indexset! { FilterStrategy::NONE },
        deflater: Deflater::Libdeflater { compression },
        // imagequant's palette is minimal already, so oxipng's reductions would only cost time.
        palette_reduction: false,
        color_type_reduction: false,
        grayscale_reduction: false,
        fast_evaluation: false,
        ..base()
    };
    write((picture.width, picture.height), ColorType::Indexed { palette }, indices, &options).map(Some)
}

fn lossless(picture: &Raster<u8>, effort: Effort) -> Result<Vec<u8>, RenderError> {
    let kind = match picture.channels {
        Channels::Gray => ColorType::Grayscale { transparent_shade: None },
        Channels::GrayAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::RGB { transparent_color: None },
        Channels::Rgba => ColorType::RGBA,
    };
    let written = |samples: Vec<u8>, filters, compression| {
        let deflater = Deflater::Libdeflater { compression };
        // Gray is not turned into a palette.
        let color_type_reduction = picture.channels != Channels::Gray;
        let options = Options { filters, deflater, optimize_alpha: true, color_type_reduction, ..base() };
        let height = u32::try_from(samples.len() / picture.row_length()).map_err(RenderError::internal)?;
        write((picture.width, height), kind.clone(), samples, &options)
    };
    let one = |compression| {
        let bytes = |filter| written(sample_rows(picture), indexset! { filter }, 1).map(|png| png.len());
        let plain = bytes(FilterStrategy::NONE)? <= bytes(FilterStrategy::MinSum)?;
        let filter = if plain { FilterStrategy::NONE } else { FilterStrategy::MinSum };
        written(picture.samples.clone(), indexset! { filter }, compression)
    };
    match effort {
        Effort::Speed => one(5),
        Effort::Balanced => one(6),
        Effort::Best => {
            let filters = [FilterStrategy::NONE, FilterStrategy::SUB, FilterStrategy::MinSum, FilterStrategy::Bigrams];
            written(picture.samples.clone(), filters.into(), 11)
        }
    }
}

/// Of every 64 rows, the first 8 are sampled.
const SAMPLED_ROWS: (usize, usize) = (64, 8);

/// A sample of the rows. The filter that compresses them best is the best for the whole picture, and is found in a tenth of
/// the time.
fn sample_rows(picture: &Raster<u8>) -> Vec<u8> {
    let [period, sampled] = [SAMPLED_ROWS.0, SAMPLED_ROWS.1].map(|rows| rows * picture.row_length());
    picture.samples.chunks(period).flat_map(|rows| &rows[..sampled.min(rows.len())]).copied().collect()
}

fn base() -> Options {
    Options { strip: StripChunks::All, interlace: Some(false), fast_evaluation: true, ..Options::from_preset(1) }
}

fn write(
    (width, height): (u32, u32),
    kind: ColorType,
    data: Vec<u8>,
    options: &Options,
) -> Result<Vec<u8>, RenderError> {
    let raw = RawImage::new(width, height, kind, BitDepth::Eight, data).map_err(RenderError::internal)?;
    raw.create_optimized_png(options).map_err(RenderError::internal)
}
