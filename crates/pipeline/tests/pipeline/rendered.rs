//! Helpers of these tests: render a picture, decode one without loss, make sources from formulas.

use darkroom_model::{
    ImageAnalysis, RenditionFormat,
    recipe::{Quality, Recipe, Resize},
};
use darkroom_pipeline::{Files, Limits, RenderError, Rendered, render};
use darkroom_test_pictures::{self as pictures, Rgb};
use image::DynamicImage;
use png::{BitDepth, ColorType};

/// All renditions of a recipe.
pub(crate) fn all<'a>(
    files: impl Into<Files<'a>>,
    recipe: &Recipe,
) -> Result<(ImageAnalysis, Vec<Rendered>), RenderError> {
    with(0, files, recipe)
}

/// All renditions of a recipe, with this number of spare cores.
pub(crate) fn with<'a>(
    spare_cores: u32,
    files: impl Into<Files<'a>>,
    recipe: &Recipe,
) -> Result<(ImageAnalysis, Vec<Rendered>), RenderError> {
    let mut renditions = Vec::new();
    let limits = Limits { spare_cores, ..Limits::default() };
    let analysis = render(files, recipe, &limits, &mut |rendition| {
        renditions.push(rendition);
        Ok(())
    })?;
    Ok((analysis, renditions))
}

/// The one rendition of a resize.
pub(crate) fn one<'a>(files: impl Into<Files<'a>>, resize: Resize) -> Result<(ImageAnalysis, Rendered), RenderError> {
    let (analysis, mut renditions) = all(files, &Recipe::Resize(resize))?;
    assert_eq!(renditions.len(), 1);
    Ok((analysis, renditions.remove(0)))
}

/// The rendition in this format at the highest quality.
pub(crate) fn lossless(source: &[u8], format: RenditionFormat) -> Result<Rendered, RenderError> {
    let resize = Resize { format: Some(format), quality: Quality::MAX, ..Resize::default() };
    one(source, resize).map(|(_, rendition)| rendition)
}

/// The decoded pixels of a file, through a lossless rendition.
pub(crate) fn seen(file: &[u8]) -> DynamicImage {
    image::load_from_memory(&lossless(file, RenditionFormat::Png).unwrap().bytes).unwrap()
}

/// An opaque PNG of these colours.
pub(crate) fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
    let samples: Vec<u8> = (0..width * height).flat_map(|i| colour(i % width, i / width)).collect();
    pictures::png(width, height, ColorType::Rgb, BitDepth::Eight, &samples)
}

/// Each channel of a pixel differs from `expected` by at most `tolerance`.
#[track_caller]
pub(crate) fn assert_close(picture: &DynamicImage, x: u32, y: u32, expected: Rgb, tolerance: u8) {
    let found = picture.to_rgb8().get_pixel(x, y).0;
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= tolerance);
    assert!(close, "at {x},{y}: {found:?} is not {expected:?}");
}
