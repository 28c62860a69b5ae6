//! PNG: a palette where that looks the same, else lossless.

use darkroom_model::recipe::{Effort, Quality};
use imagequant::{Attributes, RGBA};
use oxipng::{BitDepth, ColorType, Deflater, FilterStrategy, Options, RGBA8, RawImage, StripChunks, indexset};

use darkroom_raster::{Channels, Raster};

use crate::RenderError;

/// imagequant's speed, 1 to 10, and libdeflate's level, 1 to 12, for a palette. 4 and 9 take a quarter more time than 6 and 7
/// for 1 % of the bytes; from 7 on imagequant dithers without looking at the picture.
const fn palette_effort(effort: Effort) -> (i32, u8) {
    match effort {
        Effort::Speed => (10, 6),
        Effort::Balanced => (6, 7),
        Effort::Best => (1, 12),
    }
}

/// Encodes with a palette of as few colours as `quality` allows, or without loss where 256 are too few. 100 asks for
/// lossless. 256 grays are all there are, so gray is lossless too, if it is transparent only where that is smaller.
pub(crate) fn encode(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
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

/// The worst palette that is taken, and the one that is aimed at, on imagequant's scale. The scale is stricter than
/// JPEG's. At a quality of 80, graphics have a SSIMULACRA2 of 83 when 97 is aimed at; aiming at 95 takes 2 from it for 4 % of
/// the bytes; lossless costs three times as many.
const fn range(quality: Quality) -> (u8, u8) {
    let quality = quality.get();
    (quality / 4 * 3, 100 - (100 - quality) / 6)
}

/// How much of an error is handed on to the pixels around, of what imagequant holds right for each. All of it hides bands in
/// gradients a little better, and takes 10 % more bytes for one point of SSIMULACRA2; none takes 15 % fewer, and shows them.
const DITHERING: f32 = 0.5;

fn palette(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Option<Vec<u8>>, RenderError> {
    let (worst, wanted) = range(quality);
    let (speed, compression) = palette_effort(effort);
    let mut attributes = Attributes::new();
    attributes.set_speed(speed).map_err(RenderError::bug)?;
    attributes.set_quality(worst, wanted).map_err(RenderError::bug)?;
    let rgba = picture.to_rgba();
    let pixels: Vec<RGBA> = rgba.chunks_exact(4).map(|p| RGBA::new(p[0], p[1], p[2], p[3])).collect();
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut image = attributes.new_image(pixels, width, height, 0.0).map_err(RenderError::bug)?;
    let mut result = match attributes.quantize(&mut image) {
        Ok(result) => result,
        Err(imagequant::Error::QualityTooLow) => return Ok(None),
        Err(error) => return Err(RenderError::bug(error)),
    };
    result.set_dithering_level(DITHERING).map_err(RenderError::bug)?;
    let (palette, indices) = result.remapped(&mut image).map_err(RenderError::bug)?;
    let palette: Vec<RGBA8> = palette.into_iter().map(|c| RGBA8::new(c.r, c.g, c.b, c.a)).collect();
    let options = Options {
        // Neighbours in a palette have nothing to do with each other, so a filter only makes noise of them.
        filters: indexset! { FilterStrategy::NONE },
        deflater: Deflater::Libdeflater { compression },
        // The palette is as small as it can be, and the one way to write it needs no trial.
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
        // Gray stays gray, and is not made a palette of colours.
        let color_type_reduction = picture.channels != Channels::Gray;
        let options = Options { filters, deflater, optimize_alpha: true, color_type_reduction, ..base() };
        let height = u32::try_from(samples.len() / picture.row_length()).map_err(RenderError::bug)?;
        write((picture.width, height), kind.clone(), samples, &options)
    };
    let one = |compression| {
        let bytes = |filter| written(bands(picture), indexset! { filter }, 1).map(|png| png.len());
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

/// Of each so many rows, the first so many.
const BAND: (usize, usize) = (64, 8);

/// A part of the rows: the filter that makes less of them makes less of the whole, and is found in a tenth of the time.
fn bands(picture: &Raster<u8>) -> Vec<u8> {
    let [all, some] = [BAND.0, BAND.1].map(|rows| rows * picture.row_length());
    picture.samples.chunks(all).flat_map(|rows| &rows[..some.min(rows.len())]).copied().collect()
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
    let raw = RawImage::new(width, height, kind, BitDepth::Eight, data).map_err(RenderError::bug)?;
    raw.create_optimized_png(options).map_err(RenderError::bug)
}
