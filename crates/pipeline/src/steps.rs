//! The steps from a decoded frame to a picture that can be encoded, in their order. The list is data: [`run`] is the only
//! loop over it, for still pictures, every frame of an animation, and overlays.
#![expect(clippy::unnecessary_wraps, reason = "every step has the same signature")]

use std::sync::Arc;

use darkroom_raster::{Raster, Region, linear, resize, resize_coded};

use crate::{
    RenderError,
    analysis::attention,
    codecs::Decoded,
    colour::ToGamut,
    context::{Context, Decided, Frame},
    effects::{blur::blur, grayscale::grayscale, sharpen::sharpen},
};

/// One step.
pub(crate) struct Step {
    /// As the crate's front page lists it, and in the log at level `trace`.
    pub(crate) name: &'static str,
    run: fn(&Context<'_>, Frame) -> Result<Frame, RenderError>,
}

/// Once per frame: from decoded samples to the largest rendition in linear light. Resizing comes early because all that
/// follows costs time per pixel.
pub(crate) const FRAME_STEPS: &[Step] = &[
    Step { name: "attention", run: choose_window },
    Step { name: "resize", run: resize_to_largest },
    Step { name: "orient", run: orient },
    Step { name: "colour", run: convert_colours },
    Step { name: "grayscale", run: remove_colours },
    Step { name: "blur", run: blur_picture },
    Step { name: "sharpen", run: sharpen_picture },
];

/// Once per rendition of a frame, the largest first: from linear light to coded values.
pub(crate) const RENDITION_STEPS: &[Step] = &[
    Step { name: "downscale", run: downscale },
    Step { name: "to 8 bits", run: to_8_bits },
    Step { name: "background", run: fill_background },
    Step { name: "extend", run: extend },
    Step { name: "overlay", run: composite_overlay },
];

/// Runs steps in their order.
pub(crate) fn run(steps: &[Step], context: &Context<'_>, mut frame: Frame) -> Result<Frame, RenderError> {
    for step in steps {
        tracing::trace!(step = step.name);
        frame = (step.run)(context, frame)?;
    }
    Ok(frame)
}

/// Chooses the part of the picture that attention is drawn to, on a small preview of the first frame.
fn choose_window(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let (Some(area), None) = (context.plan.attention, frame.decided.window) else { return Ok(frame) };
    let size = attention::preview_size(area);
    let preview = context.orientation().apply(resample(context, decoded(&frame)?, area, size)?);
    let to_gamut = conversion(context, &frame.decided, &preview);
    let window = attention::best_window(&to_gamut.apply(preview), area, context.largest().region);
    Ok(Frame { decided: Decided { window: Some(window), to_gamut: Some(to_gamut) }, ..frame })
}

/// Resizes in linear light to the largest target, before orientation.
fn resize_to_largest(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let target = context.largest();
    let region = frame.decided.window.unwrap_or(target.region);
    let picture = resample(context, decoded(&frame)?, region, (target.width, target.height))?;
    Ok(Frame { decoded: None, picture, ..frame })
}

fn orient(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    Ok(Frame { picture: context.orientation().apply(frame.picture), ..frame })
}

/// Converts to the rendition's gamut.
fn convert_colours(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let to_gamut = conversion(context, &frame.decided, &frame.picture);
    let decided = Decided { to_gamut: Some(Arc::clone(&to_gamut)), ..frame.decided };
    Ok(Frame { picture: to_gamut.apply(frame.picture), decided, ..frame })
}

fn remove_colours(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    if !context.plan.effects.grayscale {
        return Ok(frame);
    }
    Ok(Frame { picture: grayscale(frame.picture), ..frame })
}

fn blur_picture(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let Some(sigma) = context.plan.effects.blur else { return Ok(frame) };
    Ok(Frame { picture: blur(&frame.picture, sigma.get())?, ..frame })
}

fn sharpen_picture(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let Some(amount) = context.plan.effects.sharpen else { return Ok(frame) };
    Ok(Frame { picture: sharpen(frame.picture, amount.get())?, ..frame })
}

/// Resizes the picture of the target before to the current one.
fn downscale(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let target = &context.plan.targets[frame.target];
    if (frame.picture.width, frame.picture.height) == (target.width, target.height) {
        return Ok(frame);
    }
    let picture = resize(&frame.picture, Region::whole(&frame.picture), target.width, target.height)?;
    Ok(Frame { picture, ..frame })
}

/// Applies sRGB's transfer function, divides by alpha, and drops an alpha channel that is opaque everywhere.
fn to_8_bits(_: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let coded = linear::to_8(&frame.picture);
    let coded = if frame.keeps_opaque_alpha { coded } else { coded.drop_opaque_alpha() };
    Ok(Frame { coded, ..frame })
}

fn fill_background(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    Ok(Frame { coded: context.plan.extend.fill_background(frame.coded), ..frame })
}

fn extend(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    Ok(Frame { coded: context.plan.extend.extend(frame.coded), ..frame })
}

fn composite_overlay(context: &Context<'_>, frame: Frame) -> Result<Frame, RenderError> {
    let Some(overlay) = &context.overlay else { return Ok(frame) };
    Ok(Frame { coded: overlay.composite(&frame.coded), ..frame })
}

fn decoded(frame: &Frame) -> Result<&Decoded, RenderError> {
    frame.decoded.as_ref().ok_or_else(|| RenderError::internal("a frame was resized twice"))
}

/// Resizes a region of the oriented source to a size after orientation. The result is not oriented yet.
fn resample(
    context: &Context<'_>,
    decoded: &Decoded,
    region: Region,
    size: (u32, u32),
) -> Result<Raster<u16>, RenderError> {
    let (orientation, header) = (context.orientation(), &context.source.header);
    let stored = (f64::from(header.width), f64::from(header.height));
    // The decoder may have scaled down.
    let scale = (decoded.extent.0 / stored.0, decoded.extent.1 / stored.1);
    let region = orientation.unmap_region(region, orientation.map_size(stored)).scaled(scale, decoded.extent);
    let (width, height) = orientation.map_size(size);
    Ok(resize_coded(&decoded.samples, region, width, height)?)
}

fn conversion(context: &Context<'_>, decided: &Decided, picture: &Raster<u16>) -> Arc<ToGamut> {
    let new = || ToGamut::new(&context.source.metadata.colour_space, context.plan.gamut, picture.channels);
    decided.to_gamut.clone().unwrap_or_else(|| Arc::new(new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_page_lists_the_steps_in_their_order() {
        let page = include_str!("lib.rs");
        let names = [FRAME_STEPS, RENDITION_STEPS].into_iter().flatten().map(|step| step.name);
        let listed = names.map(|name| page.find(&format!("//! | {name} |")).ok_or(name));
        let listed: Result<Vec<_>, _> = listed.collect();
        assert!(listed.as_ref().is_ok_and(|places| places.is_sorted()), "{listed:?}");
    }
}
