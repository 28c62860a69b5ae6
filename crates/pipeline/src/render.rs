//! From files to renditions: opens, plans, and passes each frame through the steps to the output.

use darkroom_model::{
    ImageAnalysis,
    recipe::{Gamut, Recipe, Resize},
};
use darkroom_raster::{Raster, linear};

use crate::{
    Emit, Files, Limits, RenderError, Rendered,
    analysis::analyse,
    codecs::AnimationEncoder,
    colour::{gamut_to_srgb, srgb_colour_in, srgb_to_gamut},
    context::{Context, Decided, Frame},
    cores::SpareCores,
    output::{Output, quality_with_score, too_many_bytes},
    overlay::Overlay,
    plan::{self, Goal, Placement, Plan, Target},
    search,
    source::Source,
    steps::{self, FRAME_STEPS, RENDITION_STEPS},
};

/// Reads what is known without decoding the picture, and decodes the overlay.
pub(crate) fn open<'a>(files: Files<'a>, recipe: &Recipe, limits: &Limits) -> Result<Context<'a>, RenderError> {
    let source = Source::open(files.source, limits)?;
    let plan = plan_for(&source, recipe)?;
    let overlay = match plan.overlay {
        None => None,
        Some(placement) => {
            let file = files.overlay.ok_or_else(|| RenderError::internal("the overlay's file is missing"))?;
            Some(open_overlay(file, placement, plan.gamut, limits).map_err(RenderError::of_overlay)?)
        }
    };
    Context::new(source, plan, overlay, limits.spare_cores)
}

/// The plan, with its gamut and background resolved for the source's colour space.
fn plan_for(source: &Source<'_>, recipe: &Recipe) -> Result<Plan, RenderError> {
    let (width, height) = source.upright_size();
    let mut plan = plan::plan(recipe, width, height, source.header.frames)?;
    plan.gamut = source.metadata.colour_space.gamut(plan.gamut);
    plan.extend.background = plan.extend.background.map(|colour| srgb_colour_in(plan.gamut, colour));
    Ok(plan)
}

/// Decodes an overlay, the first frame of an animation, with the same steps and limits as a picture, at its size and in the
/// gamut of the rendition.
fn open_overlay(file: &[u8], placement: Placement, gamut: Gamut, limits: &Limits) -> Result<Overlay, RenderError> {
    let (width, height) = placement.max_size;
    let fitted = Recipe::Resize(Resize { width: Some(width), height: Some(height), gamut, ..Resize::default() });
    let source = Source::open(file, limits)?;
    let plan = plan_for(&source, &fitted)?;
    let context = Context::new(source, plan, None, limits.spare_cores)?;
    let mut picture = first_frame(&context)?.picture;
    if context.plan.gamut != gamut {
        picture = srgb_to_gamut(picture, gamut);
    }
    Ok(Overlay::new(&linear::to_8(&picture), placement))
}

/// The first frame of the largest target in linear light.
fn first_frame(context: &Context<'_>) -> Result<Frame, RenderError> {
    let decoded = context.source.first_frame(context.decode_size())?;
    steps::run(FRAME_STEPS, context, Frame::new(decoded, false, Decided::default()))
}

/// Makes all renditions. Of an animation, renditions in a format with animations have all frames, and the others show the
/// first.
pub(crate) fn render(context: &Context<'_>, emit: Emit<'_>) -> Result<ImageAnalysis, RenderError> {
    let targets = &context.plan.targets;
    match context.plan.goal {
        Some(Goal::Bytes(max)) if context.source.is_animated() => {
            // Encodes the whole animation again for each quality, because its frames are too many to keep in memory.
            let render_at = |quality| {
                let targets: Vec<_> = targets.iter().map(|target| Target { quality, ..target.clone() }).collect();
                let mut files = Vec::new();
                let analysis = render_targets(context, &targets, &mut |file| {
                    files.push(file);
                    Ok(())
                })?;
                Ok((analysis, files))
            };
            let fits = |(_, files): &(_, Vec<Rendered>)| files.iter().all(|file| file.bytes.len() as u64 <= max.get());
            let found = search::highest_that_fits(targets[0].quality, render_at, fits)?;
            let (analysis, files) = found.ok_or_else(|| too_many_bytes(max))?;
            files.into_iter().try_for_each(emit).map_err(RenderError::Emit)?;
            Ok(analysis)
        }
        Some(Goal::Score(least)) if context.source.is_animated() => {
            // The first frame decides on the quality of all.
            let first = steps::run(RENDITION_STEPS, context, first_frame(context)?)?;
            let quality = quality_with_score(&first.coded, &targets[0], least)?;
            render_targets(context, &[Target { quality, ..targets[0].clone() }], emit)
        }
        _ => render_targets(context, targets, emit),
    }
}

/// Passes each frame through the steps and makes the renditions of `targets`, which differ from the plan's in quality alone.
fn render_targets(context: &Context<'_>, targets: &[Target], emit: Emit<'_>) -> Result<ImageAnalysis, RenderError> {
    let animated = context.source.is_animated();
    let output = Output::new(context, emit);
    let source = context.source.frames(context.decode_size())?;
    let mut animations = Vec::new();
    if animated {
        for target in targets {
            animations.extend(output.start_animation(target, source.plays)?.map(|encoder| (target, encoder)));
        }
    }
    let (mut analysis, mut fallback, mut decided) = (None, None, Decided::default());
    context.cores.scope(|tasks| {
        for frame in source.frames {
            let frame = frame?;
            let is_first = analysis.is_none();
            let mut state = Frame::new(frame.decoded, animated, decided.clone());
            state = steps::run(FRAME_STEPS, context, state)?;
            if is_first {
                analysis = Some(analyse_in_srgb(context, &state.picture)?);
                decided = state.decided.clone();
            }
            let mut shown = Vec::new();
            for (index, target) in targets.iter().enumerate() {
                state = steps::run(RENDITION_STEPS, context, Frame { target: index, ..state })?;
                let coded = state.take_coded();
                if !animated {
                    output.still(tasks, target, coded, &mut fallback)?;
                    continue;
                }
                if is_first {
                    output.first_frame(target, &coded, &mut fallback)?;
                }
                shown.push(coded);
            }
            if animations.is_empty() {
                break;
            }
            add_frame(&context.cores, &mut animations, &shown, frame.milliseconds)?;
        }
        Ok(())
    })?;
    for (target, encoder) in animations {
        output.finish_animation(target, encoder)?;
    }
    analysis.ok_or_else(|| RenderError::internal("a file without a frame passed its header's checks"))
}

/// Adds a frame to each animation, in parallel on spare cores.
fn add_frame(
    cores: &SpareCores,
    animations: &mut [(&Target, Box<dyn AnimationEncoder>)],
    pictures: &[Raster<u8>],
    milliseconds: u32,
) -> Result<(), RenderError> {
    let mut pairs = animations.iter_mut().map(|(_, encoder)| encoder).zip(pictures);
    let last = pairs.next_back();
    cores.scope(|tasks| {
        for (encoder, picture) in pairs {
            tasks.run(move || encoder.add(picture, milliseconds))?;
        }
        last.map_or(Ok(()), |(encoder, picture)| encoder.add(picture, milliseconds))
    })
}

/// The analysis of a picture in linear light and the plan's gamut.
fn analyse_in_srgb(context: &Context<'_>, picture: &Raster<u16>) -> Result<ImageAnalysis, RenderError> {
    match context.plan.gamut {
        Gamut::Srgb => analyse(picture),
        gamut @ Gamut::P3 => analyse(&gamut_to_srgb(picture.clone(), gamut)),
    }
}
