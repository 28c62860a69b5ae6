//! From finished pictures to files: encoding, embedding of metadata, and the hand-over to the receiver.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Formats, Quality},
};
use darkroom_raster::Raster;

use crate::{
    Emit, RenderError, Rendered,
    analysis::ssimulacra2::score,
    choose,
    codecs::{AnimationEncoder, Encoded, encode, encoder, output_features},
    context::Context,
    cores::Tasks,
    plan::{Goal, Target},
    search,
};

/// The format of a pair that shows every picture, and the one of animations.
const MODERN: RenditionFormat = RenditionFormat::Webp;

/// The steps below the default quality of 80 for a source that is stored in the same lossy format and is smaller. Lower
/// qualities are visible.
const LOWERED_QUALITIES: [u8; 2] = [70, 60];

/// Encodes the renditions of one picture and hands them over.
pub(crate) struct Output<'a> {
    context: &'a Context<'a>,
    emit: Mutex<Emit<'a>>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(context: &'a Context<'a>, emit: Emit<'a>) -> Self {
        Self { context, emit: Mutex::new(emit) }
    }

    /// Encodes the renditions of one target of a still picture. The modern file of a pair, which takes longest, is encoded on a
    /// spare core while this thread goes on. `fallback` is the format of the pair's other file, chosen at the largest target.
    pub(crate) fn still<'scope>(
        &'scope self,
        tasks: &Tasks<'scope, '_, RenderError>,
        target: &'scope Target,
        picture: Raster<u8>,
        fallback: &mut Option<RenditionFormat>,
    ) -> Result<(), RenderError> {
        if target.formats != Formats::Pair {
            return self.hand_over(target, self.single(&picture, target)?);
        }
        let picture = Arc::new(picture);
        let shared = Arc::clone(&picture);
        tasks.run(move || {
            let file = encode(&shared, MODERN, target.webp_quality(), target.effort)?;
            self.hand_over_of_pair(target, &shared, file)
        })?;
        let file = self.fallback(&picture, target, fallback)?;
        self.hand_over_of_pair(target, &picture, file)
    }

    /// Encodes the rendition of one target that shows the first frame of an animation, if the target has one.
    pub(crate) fn first_frame(
        &self,
        target: &Target,
        picture: &Raster<u8>,
        fallback: &mut Option<RenditionFormat>,
    ) -> Result<(), RenderError> {
        let picture = || picture.clone().drop_opaque_alpha();
        let file = match target.formats {
            Formats::Pair => self.fallback(&picture(), target, fallback)?,
            Formats::One(format) if !output_features(format).animation => {
                encode(&picture(), format, target.quality, target.effort)?
            }
            Formats::One(_) | Formats::Smallest => return Ok(()),
        };
        self.hand_over(target, self.labelled(file)?)
    }

    /// The encoder of a target's animation; `None` where the target has only stills.
    pub(crate) fn start_animation(
        &self,
        target: &Target,
        plays: u32,
    ) -> Result<Option<Box<dyn AnimationEncoder>>, RenderError> {
        if !is_animated(target) {
            return Ok(None);
        }
        let size = self.context.plan.extend.size((target.width, target.height));
        encoder(MODERN).start_animation(size, plays, target.webp_quality(), target.effort).map(Some)
    }

    /// Finishes and hands over a target's animation.
    pub(crate) fn finish_animation(
        &self,
        target: &Target,
        animation: Box<dyn AnimationEncoder>,
    ) -> Result<(), RenderError> {
        let file = Encoded { format: MODERN, bytes: animation.finish()? };
        self.hand_over(target, self.labelled(file)?)
    }

    /// The one file of a target that has no pair, at the quality that meets the recipe's goal.
    fn single(&self, picture: &Raster<u8>, target: &Target) -> Result<Encoded, RenderError> {
        let encode_at = |quality| {
            self.labelled(match target.formats {
                Formats::One(format) => encode(picture, format, quality, target.effort)?,
                Formats::Pair | Formats::Smallest => self.smallest(picture, quality, target.effort)?,
            })
        };
        match self.context.plan.goal {
            None => encode_at(target.quality),
            Some(Goal::Bytes(max)) => {
                let fits = |file: &Encoded| file.bytes.len() as u64 <= max.get();
                search::highest_that_fits(target.quality, encode_at, fits)?.ok_or_else(|| too_many_bytes(max))
            }
            Some(Goal::Score(least)) => self.labelled(self.scored(picture, target, least)?),
        }
    }

    fn smallest(&self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Encoded, RenderError> {
        choose::smallest(picture, &self.context.source.metadata, quality, effort, &self.context.cores)
    }

    /// The file at the lowest quality with at least this score; without loss where no quality has it. The format that is the
    /// smallest is chosen at the target's own quality.
    fn scored(&self, picture: &Raster<u8>, target: &Target, least: f64) -> Result<Encoded, RenderError> {
        let format = match target.formats {
            Formats::One(format) => format,
            Formats::Pair | Formats::Smallest => self.smallest(picture, target.quality, target.effort)?.format,
        };
        if let Some((_, file)) = lowest_with_score(picture, format, target.effort, least)? {
            return Ok(file);
        }
        let lossless = encoder(format).encode_lossless(picture)?;
        let bytes = lossless.ok_or_else(|| score_not_reached(least, format))?;
        Ok(Encoded { format, bytes })
    }

    /// The fallback of a pair. Its format is chosen once and kept.
    fn fallback(
        &self,
        picture: &Raster<u8>,
        target: &Target,
        format: &mut Option<RenditionFormat>,
    ) -> Result<Encoded, RenderError> {
        if let Some(format) = *format {
            return encode(picture, format, target.quality, target.effort);
        }
        let file = choose::fallback(picture, &self.context.source.metadata, target.quality, target.effort)?;
        *format = Some(file.format);
        Ok(file)
    }

    fn hand_over_of_pair(&self, target: &Target, picture: &Raster<u8>, file: Encoded) -> Result<(), RenderError> {
        self.hand_over(target, self.labelled(self.not_larger_than_source(picture, target, file)?)?)
    }

    /// A source that is encoded again at its own size in its own lossy format should not become larger: the additional bytes
    /// would preserve the first encoder's artefacts. Lowers the quality by at most two steps. Only for the standard set, where
    /// no quality was asked for.
    fn not_larger_than_source(
        &self,
        picture: &Raster<u8>,
        target: &Target,
        mut file: Encoded,
    ) -> Result<Encoded, RenderError> {
        let source = &self.context.source;
        let same_format = source.metadata.lossy_format == Some(file.format);
        if same_format && (target.width, target.height) == source.upright_size() {
            for quality in LOWERED_QUALITIES.into_iter().filter_map(Quality::new) {
                if file.bytes.len() <= source.file.len() {
                    break;
                }
                file = encode(picture, file.format, quality, target.effort)?;
            }
        }
        Ok(file)
    }

    /// Embeds the ICC profile and EXIF.
    fn labelled(&self, Encoded { format, bytes }: Encoded) -> Result<Encoded, RenderError> {
        Ok(Encoded { format, bytes: encoder(format).embed(bytes, &self.context.embedded_metadata)? })
    }

    fn hand_over(&self, target: &Target, Encoded { format, bytes }: Encoded) -> Result<(), RenderError> {
        let (width, height) = self.context.plan.extend.size((target.width, target.height));
        let rendered = Rendered { name: format!("{}.{format}", target.name), format, width, height, bytes };
        let mut emit = self.emit.lock().unwrap_or_else(PoisonError::into_inner);
        emit(rendered).map_err(RenderError::Emit)
    }
}

/// The quality at which the picture, the first frame of an animation, has at least this score in the target's format.
pub(crate) fn quality_with_score(picture: &Raster<u8>, target: &Target, least: f64) -> Result<Quality, RenderError> {
    let format = if let Formats::One(format) = target.formats { format } else { MODERN };
    let found = lowest_with_score(picture, format, target.effort, least)?;
    Ok(found.ok_or_else(|| score_not_reached(least, format))?.0)
}

/// The lowest quality with at least this score, and its file.
fn lowest_with_score(
    picture: &Raster<u8>,
    format: RenditionFormat,
    effort: Effort,
    least: f64,
) -> Result<Option<(Quality, Encoded)>, RenderError> {
    let on_white = (!output_features(format).alpha).then(|| picture.flatten_on_white());
    let shown = on_white.as_deref().unwrap_or(picture);
    let encode_at = |quality| {
        let file = encode(picture, format, quality, effort)?;
        Ok((score(shown, &file.bytes)?, (quality, file)))
    };
    Ok(search::lowest_that_suffices(encode_at, |(score, _)| *score >= least)?.map(|(_, found)| found))
}

fn is_animated(target: &Target) -> bool {
    match target.formats {
        Formats::One(format) => output_features(format).animation,
        Formats::Pair | Formats::Smallest => true,
    }
}

fn score_not_reached(least: f64, format: RenditionFormat) -> RenderError {
    RenderError::unsatisfiable(format!("The file scores less than {least} at the highest quality of {format}."))
}

pub(crate) fn too_many_bytes(max: NonZeroU64) -> RenderError {
    RenderError::unsatisfiable(format!("The file has more than {max} bytes at the lowest quality."))
}
