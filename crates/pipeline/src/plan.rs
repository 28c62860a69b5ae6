//! From a recipe and the size of a source to what is done to its pixels: regions, effects, formats. The sizes of the renditions
//! come from [`Recipe::sizes`].

use std::num::{NonZeroU32, NonZeroU64};

use darkroom_model::recipe::{
    Blur, Crop, Effort, Fit, Formats, Gamut, Keep, Overlay, PlannedSize, Position, Quality, Recipe, Resize, Rotation,
    Sharpen, scale,
};

use darkroom_raster::{Orientation, Region};

use crate::{
    RenderError,
    extend::{Canvas, Extend, offset},
};

/// Everything that a recipe asks for, resolved for one source.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How the upright source is rotated and mirrored.
    pub(crate) turn: Orientation,
    /// At least one, the largest first. All show the same part of the source.
    pub(crate) targets: Vec<Target>,
    /// The part of the turned source within which attention chooses the targets' region.
    pub(crate) attention: Option<Region>,
    pub(crate) effects: Effects,
    pub(crate) extend: Extend,
    pub(crate) overlay: Option<Placement>,
    /// The gamut of the renditions, if the source has colours outside of sRGB.
    pub(crate) gamut: Gamut,
    pub(crate) keep: Keep,
    /// What the encoder's quality is searched for; `None`: the target's quality.
    pub(crate) goal: Option<Goal>,
}

/// What is done to the pixels in linear light, at the size of the largest rendition; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    pub(crate) grayscale: bool,
    /// The standard deviation, in pixels.
    pub(crate) blur: Option<Blur>,
    /// How much of the difference to a blurred copy is added.
    pub(crate) sharpen: Option<Sharpen>,
}

/// Where an overlay lies on a rendition, in the rendition's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    /// The box into which the overlay is fitted: width and height.
    pub(crate) max_size: (NonZeroU32, NonZeroU32),
    /// The distance to all edges.
    pub(crate) margin: u32,
    /// Width and height between the margins.
    pub(crate) free: (u32, u32),
    /// Where it lies between the margins: 0 at the left or top, 1 at the right or bottom.
    pub(crate) anchor: (f64, f64),
    /// 0 to 1.
    pub(crate) opacity: f32,
}

impl Placement {
    /// The upper left corner of an overlay of this size.
    pub(crate) fn corner(&self, size: (u32, u32)) -> (u32, u32) {
        let left = self.margin + offset(self.free.0, size.0, self.anchor.0);
        let top = self.margin + offset(self.free.1, size.1, self.anchor.1);
        (left, top)
    }
}

/// What the quality of a file is searched for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// At most so many bytes: the highest quality, up to the target's.
    Bytes(NonZeroU64),
    /// At least this SSIMULACRA2 score: the lowest quality.
    Score(f64),
}

/// One size to make, in each of its formats. Sizes are in pixels, before extending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// The rendition's name without its extension.
    pub(crate) name: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The part of the turned source that is shown, in its pixels.
    pub(crate) region: Region,
    pub(crate) formats: Formats,
    pub(crate) quality: Quality,
    pub(crate) effort: Effort,
}

impl Target {
    /// The quality of its WebP file.
    pub(crate) fn webp_quality(&self) -> Quality {
        if self.formats == Formats::Pair { Recipe::WEBP_QUALITY } else { self.quality }
    }
}

/// The plan of a recipe for a source of this size after orientation, in pixels, and this number of frames.
pub(crate) fn plan(recipe: &Recipe, width: u32, height: u32, frames: u32) -> Result<Plan, RenderError> {
    let source = (width, height);
    let sizes = recipe.sizes(source, frames).map_err(|error| RenderError::unsatisfiable(error.to_string()))?;
    Ok(match recipe {
        Recipe::Standard => Plan {
            turn: Orientation::default(),
            targets: sizes.into_iter().map(|size| standard(size, source)).collect(),
            attention: None,
            effects: Effects::default(),
            extend: Extend::default(),
            overlay: None,
            gamut: Gamut::Srgb,
            keep: Keep::Nothing,
            goal: None,
        },
        Recipe::Resize(resize) => resized(resize, source, sizes),
    })
}

fn standard(size: PlannedSize, source: (u32, u32)) -> Target {
    let PlannedSize { name, picture: (width, height), formats, .. } = size;
    let region = whole(source);
    Target { name, width, height, region, formats, quality: Quality::DEFAULT, effort: Effort::default() }
}

fn resized(resize: &Resize, upright: (u32, u32), sizes: Vec<PlannedSize>) -> Plan {
    let turn = Orientation::rotation(resize.rotate.map_or(0, Rotation::quarter_turns), resize.flip, resize.flop);
    let part = resize.crop.map_or(whole(upright), |crop| inside(crop, upright));
    // From here on, coordinates are those of the turned source.
    let part = turn.map_region(part, (upright.0.into(), upright.1.into()));
    let is_cover = resize.fit == Fit::Cover && resize.width.is_some() && resize.height.is_some();
    let anchor = resize.position.anchor();
    let canvas = sizes.first().and_then(|size| size.canvas);
    let extend = Extend {
        canvas: canvas.map(|(width, height)| Canvas { width, height, anchor }),
        background: resize.background.map(|colour| colour.0),
    };
    let overlay = resize.overlay.zip(sizes.first()).map(|(overlay, size)| placement(&overlay, size.size()));
    let target = |PlannedSize { name, picture: (width, height), formats, .. }| Target {
        name,
        width,
        height,
        region: if is_cover { largest_part(part, (width, height), anchor) } else { part },
        formats,
        quality: resize.quality,
        effort: resize.effort,
    };
    let goal = match (resize.ssim, resize.max_bytes) {
        (Some(score), _) => Some(Goal::Score(score.get().into())),
        (None, max) => max.map(Goal::Bytes),
    };
    Plan {
        turn,
        targets: sizes.into_iter().map(target).collect(),
        attention: (resize.position == Position::Attention).then_some(part),
        effects: Effects { grayscale: resize.grayscale, blur: resize.blur, sharpen: resize.sharpen },
        extend,
        overlay,
        // Gray is the same in every gamut.
        gamut: if resize.grayscale { Gamut::Srgb } else { resize.gamut },
        keep: resize.keep,
        goal,
    }
}

/// Where an overlay lies on a rendition of this size.
fn placement(overlay: &Overlay, size: (u32, u32)) -> Placement {
    let shorter = f64::from(size.0.min(size.1));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a quarter of the shorter side"
    )]
    let margin = (shorter * f64::from(overlay.margin.get())).round() as u32;
    let free = |side: u32| side.saturating_sub(2 * margin).max(1);
    let max = |side: u32| {
        let max = scale(side, overlay.scale.get().into()).min(free(side));
        NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN)
    };
    Placement {
        max_size: (max(size.0), max(size.1)),
        margin,
        free: (free(size.0), free(size.1)),
        anchor: overlay.position.anchor(),
        opacity: overlay.opacity.get(),
    }
}

/// The part of the upright source that a crop shows.
fn inside(crop: Crop, upright: (u32, u32)) -> Region {
    // `Recipe::sizes` has refused a crop outside of the source.
    let (width, height) = crop.size_within(upright).unwrap_or(upright);
    Region { left: crop.x.into(), top: crop.y.into(), width: width.into(), height: height.into() }
}

fn whole((width, height): (u32, u32)) -> Region {
    Region { left: 0.0, top: 0.0, width: width.into(), height: height.into() }
}

/// The largest part of `area` with the aspect ratio of `size`, placed by `anchor`: 0 at the left or top, 1 at the right or
/// bottom.
fn largest_part(area: Region, size: (u32, u32), anchor: (f64, f64)) -> Region {
    let ratio = (area.width / f64::from(size.0)).min(area.height / f64::from(size.1));
    let width = (f64::from(size.0) * ratio).min(area.width);
    let height = (f64::from(size.1) * ratio).min(area.height);
    let left = area.left + (area.width - width) * anchor.0;
    let top = area.top + (area.height - height) * anchor.1;
    Region { left, top, width, height }
}

#[cfg(test)]
mod tests {
    use darkroom_model::{FailureCode, RenditionFormat, recipe::Rotation};

    use super::*;

    fn sizes(recipe: &Recipe, width: u32, height: u32) -> Vec<(String, u32, u32)> {
        let targets = plan(recipe, width, height, 1).unwrap().targets;
        targets.into_iter().map(|t| (t.name, t.width, t.height)).collect()
    }

    /// The size of the one target for a source of 2725 × 2225, and its canvas.
    fn size(resize: Resize) -> ((u32, u32), Option<(u32, u32)>) {
        let plan = plan(&Recipe::Resize(resize), 2725, 2225, 1).unwrap();
        let target = &plan.targets[0];
        ((target.width, target.height), plan.extend.canvas.map(|canvas| (canvas.width, canvas.height)))
    }

    fn resize(width: u32, height: u32, fit: Fit) -> Resize {
        Resize { width: width.try_into().ok(), height: height.try_into().ok(), fit, ..Resize::default() }
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
        assert_eq!(sizes(&Recipe::Standard, 1000, 60_000)[0].2, 16_383);
    }

    #[test]
    fn a_side_is_as_long_as_the_format_of_the_rendition_allows() {
        let width = |format, width| {
            let width = NonZeroU32::new(width);
            plan(&Recipe::Resize(Resize { width, format, ..Resize::default() }), 60_000, 8, 1).unwrap().targets[0].width
        };
        assert_eq!(width(None, 0), 16_383);
        assert_eq!(width(Some(RenditionFormat::Webp), 16_384), 16_383);
        for format in [RenditionFormat::Jpeg, RenditionFormat::Png, RenditionFormat::Avif] {
            assert_eq!((width(Some(format), 16_384), width(Some(format), 0)), (16_384, 60_000));
        }
    }

    #[test]
    fn only_the_standard_set_has_a_separate_webp_quality() {
        let qualities = |recipe: &Recipe| {
            let target = plan(recipe, 300, 200, 1).unwrap().targets.remove(0);
            (target.quality.get(), target.webp_quality().get())
        };
        assert_eq!(qualities(&Recipe::Standard), (80, 83));
        assert_eq!(qualities(&Recipe::Resize(resize(100, 0, Fit::Inside))), (80, 80));
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
            assert_eq!(size(resize(width, height, fit)).0, expected, "{width}x{height} {fit}");
        }
    }

    #[test]
    fn contain_keeps_its_box() {
        assert_eq!(size(resize(300, 300, Fit::Contain)), ((300, 245), Some((300, 300))));
        assert_eq!(size(resize(4000, 3000, Fit::Contain)), ((2725, 2225), Some((4000, 3000))));
        assert_eq!(size(resize(300, 0, Fit::Contain)), ((300, 245), None));
    }

    #[test]
    fn enlarged_renditions_have_at_most_32_million_pixels() {
        let enlarged = |width, height, fit| size(Resize { enlarge: true, ..resize(width, height, fit) });
        assert_eq!(enlarged(4000, 0, Fit::Inside).0, (4000, 3266));
        assert_eq!(enlarged(4000, 4000, Fit::Cover).0, (4000, 4000));
        assert_eq!(enlarged(0, 0, Fit::Inside).0, (2725, 2225), "nothing larger is asked for");
        for fit in Fit::ALL {
            let (size, canvas) = enlarged(16_384, 16_384, *fit);
            let pixels = |(width, height)| u64::from(width) * u64::from(height);
            assert!(pixels(canvas.unwrap_or(size)) <= Recipe::MAX_ENLARGED + 16_384, "{fit}: {size:?} {canvas:?}");
        }
        assert_eq!(size(resize(16_384, 16_384, Fit::Contain)).1, Some((5657, 5657)), "nor is an empty box");
        let frames = plan(&Recipe::Resize(Resize { enlarge: true, ..resize(9000, 9000, Fit::Fill) }), 10, 10, 320);
        assert_eq!(frames.unwrap().targets[0].width, 316);
    }

    #[test]
    fn cover_shows_the_part_that_its_position_names() {
        for (position, left) in [(Position::Left, 0.0), (Position::Centre, 100.0), (Position::BottomRight, 200.0)] {
            let cover = Resize { position, ..resize(100, 100, Fit::Cover) };
            let plan = plan(&Recipe::Resize(cover), 400, 200, 1).unwrap();
            assert_eq!(plan.targets[0].region, Region { left, top: 0.0, width: 200.0, height: 200.0 });
        }
    }

    #[test]
    fn a_crop_is_turned_with_the_picture_and_cut_at_its_edge() {
        let side = |length: u32| length.try_into().unwrap();
        let crop = |x, y| Some(Crop { x, y, width: side(100), height: side(40) });
        let turned = Resize { crop: crop(350, 10), rotate: Some(Rotation::Quarter), ..Resize::default() };
        let plan_of = |resize| plan(&Recipe::Resize(resize), 400, 200, 1);
        let target = plan_of(turned).unwrap().targets.remove(0);
        assert_eq!((target.width, target.height), (40, 50));
        assert_eq!(target.region, Region { left: 150.0, top: 350.0, width: 40.0, height: 50.0 });
        for outside in [crop(400, 0), crop(0, 200)] {
            let error = plan_of(Resize { crop: outside, ..Resize::default() }).unwrap_err();
            assert_eq!(error.failure().unwrap().code, FailureCode::Unsatisfiable);
        }
    }
}
