//! From a recipe to the list of renditions to make.

use darkroom_shared::image::{Fit, Quality, Recipe, RenditionFormat, Resize};

use super::resize::Region;

/// No rendition has a longer side, in pixels: WebP's bound (RFC 9649, section 2.7). Longer pictures are made smaller.
pub(crate) const MAX_SIDE: u32 = 16_383;

/// The formats of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formats {
    /// WebP, and beside it JPEG, or PNG where the picture is transparent or a flat graphic.
    Pair,
    /// This one.
    One(RenditionFormat),
    /// The smallest.
    Smallest,
}

/// One size to make, in each of its formats. Sizes are upright.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// The rendition's name without its ending.
    pub(crate) name: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The part of the upright source that is shown.
    pub(crate) region: Region,
    pub(crate) formats: Formats,
    pub(crate) quality: Quality,
}

/// The targets of a recipe for a source of this upright size, largest first, never larger than the source.
pub(crate) fn plan(recipe: &Recipe, width: u32, height: u32) -> Vec<Target> {
    let source = (width, height);
    match recipe {
        Recipe::Standard => {
            let full = standard("full".to_owned(), source, Recipe::FULL_WIDTH.min(width));
            let smaller = Recipe::WIDTHS.into_iter().filter(|w| *w < full.width);
            let smaller: Vec<_> = smaller.map(|w| standard(format!("w{w}"), source, w)).collect();
            std::iter::once(full).chain(smaller).collect()
        }
        Recipe::Resize(resize) => vec![resized(resize, source)],
    }
}

fn standard(name: String, source: (u32, u32), width: u32) -> Target {
    let (width, height) = inside(source, Some(width), None);
    Target { name, width, height, region: whole(source), formats: Formats::Pair, quality: Quality::DEFAULT }
}

fn resized(resize: &Resize, source: (u32, u32)) -> Target {
    let sides = (resize.width.map(u32::from), resize.height.map(u32::from));
    let ((width, height), region) = match (resize.fit, sides) {
        (Fit::Cover, (Some(width), Some(height))) => {
            let size = shrink_to((width, height), source);
            (size, centred(source, size))
        }
        (Fit::Fill, (Some(width), Some(height))) => (shrink_to((width, height), source), whole(source)),
        (_, (width, height)) => (inside(source, width, height), whole(source)),
    };
    let formats = resize.format.map_or(Formats::Smallest, Formats::One);
    Target { name: "resized".to_owned(), width, height, region, formats, quality: resize.quality }
}

/// The source made to fit into a box, of which either side may be open.
fn inside(source: (u32, u32), width: Option<u32>, height: Option<u32>) -> (u32, u32) {
    let width = width.unwrap_or(MAX_SIDE).min(MAX_SIDE);
    let height = height.unwrap_or(MAX_SIDE).min(MAX_SIDE);
    let ratio = (f64::from(width) / f64::from(source.0)).min(f64::from(height) / f64::from(source.1)).min(1.0);
    (scale(source.0, ratio).min(width), scale(source.1, ratio).min(height))
}

/// A box with the aspect ratio asked for, as large as asked for but nowhere larger than the source.
fn shrink_to(asked: (u32, u32), source: (u32, u32)) -> (u32, u32) {
    let limit = (source.0.min(MAX_SIDE), source.1.min(MAX_SIDE));
    let ratio = (f64::from(limit.0) / f64::from(asked.0)).min(f64::from(limit.1) / f64::from(asked.1)).min(1.0);
    (scale(asked.0, ratio).min(limit.0), scale(asked.1, ratio).min(limit.1))
}

// Both are at most the length, and lengths fit.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scale(length: u32, ratio: f64) -> u32 {
    ((f64::from(length) * ratio).round() as u32).max(1)
}

fn whole((width, height): (u32, u32)) -> Region {
    Region { left: 0.0, top: 0.0, width: width.into(), height: height.into() }
}

/// The largest part of the source with the aspect ratio of `size`, in its middle.
fn centred(source: (u32, u32), size: (u32, u32)) -> Region {
    let (width, height) = (f64::from(source.0), f64::from(source.1));
    let ratio = (width / f64::from(size.0)).min(height / f64::from(size.1));
    let part = ((f64::from(size.0) * ratio).min(width), (f64::from(size.1) * ratio).min(height));
    Region { left: (width - part.0) / 2.0, top: (height - part.1) / 2.0, width: part.0, height: part.1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(recipe: &Recipe, width: u32, height: u32) -> Vec<(String, u32, u32)> {
        plan(recipe, width, height).into_iter().map(|t| (t.name, t.width, t.height)).collect()
    }

    fn resize(width: u32, height: u32, fit: Fit) -> Recipe {
        Recipe::Resize(Resize {
            width: width.try_into().ok(),
            height: height.try_into().ok(),
            fit,
            format: None,
            quality: Quality::DEFAULT,
        })
    }

    #[test]
    fn the_standard_recipe_makes_full_and_the_widths_below_it() {
        let named = |list: &[(&str, u32, u32)]| -> Vec<_> {
            list.iter().map(|(name, w, h)| ((*name).to_owned(), *w, *h)).collect()
        };
        assert_eq!(
            sizes(&Recipe::Standard, 6000, 4000),
            named(&[("full", 2560, 1707), ("w1600", 1600, 1067), ("w800", 800, 533), ("w320", 320, 213)])
        );
        assert_eq!(sizes(&Recipe::Standard, 800, 600), named(&[("full", 800, 600), ("w320", 320, 240)]));
        assert_eq!(sizes(&Recipe::Standard, 1, 1), named(&[("full", 1, 1)]));
        assert_eq!(sizes(&Recipe::Standard, 1000, 60_000)[0].2, MAX_SIDE);
    }

    #[test]
    fn a_resize_keeps_its_fit_and_never_enlarges() {
        for (width, height, fit, expected) in [
            (720, 0, Fit::Inside, (720, 588)),
            (0, 100, Fit::Inside, (122, 100)),
            (100, 100, Fit::Inside, (100, 82)),
            (9000, 9000, Fit::Inside, (2725, 2225)),
            (0, 0, Fit::Inside, (2725, 2225)),
            (300, 300, Fit::Cover, (300, 300)),
            (16_384, 8_192, Fit::Cover, (2725, 1363)),
            (300, 100, Fit::Fill, (300, 100)),
            (2_725, 16_000, Fit::Fill, (379, 2225)),
            (300, 0, Fit::Cover, (300, 245)),
        ] {
            let target = &plan(&resize(width, height, fit), 2725, 2225)[0];
            assert_eq!((target.width, target.height), expected, "{width}x{height} {fit}");
        }
    }

    #[test]
    fn cover_shows_the_middle() {
        let target = &plan(&resize(100, 100, Fit::Cover), 400, 200)[0];
        assert_eq!(target.region, Region { left: 100.0, top: 0.0, width: 200.0, height: 200.0 });
    }
}
