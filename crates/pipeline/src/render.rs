//! The steps in their order.

use std::{
    io::Cursor,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

use darkroom_container::header::{self, Header};
use darkroom_model::{
    ImageAnalysis,
    RenditionFormat::{self, Avif, Jpeg, Png, Webp},
    SourceFormat,
    recipe::{Effort, Gamut, Keep, Quality, Recipe},
};

use darkroom_container::{embed::EmbeddedMetadata, exif_filter::filter_exif, xmp_iptc::Attribution};
use darkroom_raster::{Channels, Orientation, Raster, Region, Samples, linear, resize, resize_coded};

use crate::{
    Emit, Limits, RenderError, Rendered,
    analysis::{attention, facts, ssimulacra2::score},
    choose,
    codecs::{
        self, Metadata, Still,
        encode::{self, Encoded, encode},
    },
    colour::{ToGamut, in_srgb, p3_profile, srgb_in},
    cores::SpareCores,
    overlay::Overlay,
    plan::{self, Formats, Goal, Plan, Target},
    search,
};

/// The steps below the standard quality of 80 for a source that is as small already. Lower ones show.
const LOWERED: [u8; 2] = [70, 60];

/// So many times the samples a side of a rendition leave its resize enough to work with. Photographs of 2000 pixels made 500
/// wide, as a JPEG of quality 80, score 79.5 where they are decoded whole, and 79.0 from half of their size (SSIMULACRA2
/// to what is resized in linear light; in gamma space 75.7 and 77.3).
const ENOUGH: f64 = 1.8;

/// The same where time counts more: 77.8 from three eighths (78.1), in nine tenths of the time.
const ENOUGH_FOR_SPEED: f64 = 1.4;

/// One picture to render.
pub(super) struct Job<'a> {
    pub(super) source: &'a [u8],
    pub(super) header: Header,
    pub(super) metadata: Metadata,
    pub(super) plan: Plan,
    pub(super) embedded_metadata: EmbeddedMetadata,
    pub(super) overlay: Option<Overlay>,
    pub(super) scans: u32,
    pub(super) cores: SpareCores,
}

impl<'a> Job<'a> {
    /// Reads what is known without decoding, and plans.
    pub(super) fn open(source: &'a [u8], recipe: &Recipe, limits: &Limits) -> Result<Self, RenderError> {
        let header = header::read(&mut Cursor::new(source), &limits.header)?;
        let metadata = codecs::metadata(source, &header)?;
        let (width, height) = metadata.orientation.map_size((header.width, header.height));
        let mut plan = plan::plan(recipe, width, height, header.frames)?;
        plan.gamut = metadata.space.gamut(plan.gamut);
        plan.mount.background = plan.mount.background.map(|colour| srgb_in(plan.gamut, colour));
        let exif = match plan.keep {
            Keep::Nothing => None,
            keep => filter_exif(codecs::exif_of(source, &header), Attribution::read(source), keep),
        };
        let profile = match plan.gamut {
            Gamut::P3 => Some(p3_profile()?),
            Gamut::Srgb => None,
        };
        let embedded_metadata = EmbeddedMetadata { gamut: plan.gamut, profile, exif };
        let cores = SpareCores::new(limits.spare_cores);
        Ok(Self { source, header, metadata, plan, embedded_metadata, overlay: None, scans: limits.header.scans, cores })
    }
}

impl Job<'_> {
    pub(super) fn still(&self, emit: Emit<'_>) -> Result<ImageAnalysis, RenderError> {
        let picture = self.first()?;
        let facts = self.facts(&picture)?;
        self.renditions(picture, &self.plan.targets, None, &Mutex::new(emit))?;
        Ok(facts)
    }

    /// The renditions of these targets, each made from the one before. What takes longest, the WebP of a pair, is encoded
    /// beside all that follows it.
    fn renditions(
        &self,
        picture: Raster<u16>,
        targets: &[Target],
        mut fallback: Option<RenditionFormat>,
        emit: &Mutex<Emit<'_>>,
    ) -> Result<(), RenderError> {
        let Some((target, smaller)) = targets.split_first() else { return Ok(()) };
        let picture = shrink(picture, target)?;
        let coded = Arc::new(self.mounted(linear::to_8(&picture).drop_opaque_alpha()));
        let hand_over = |(format, bytes)| {
            let mut emit = emit.lock().unwrap_or_else(PoisonError::into_inner);
            emit(self.rendered(target, format, bytes)).map_err(RenderError::Emit)
        };
        if target.formats != Formats::Pair {
            hand_over(self.file(&coded, target)?)?;
            return self.renditions(picture, smaller, fallback, emit);
        }
        let of_pair =
            move |picture: &Raster<u8>, file| hand_over(self.labelled(self.no_larger(picture, target, file)?)?);
        let shared = Arc::clone(&coded);
        let aside = move || {
            let webp = encode(&shared, Webp, target.webp_quality(), target.effort)?;
            of_pair(&shared, (Webp, webp))
        };
        let here = move || {
            if let Some(still) = still_of(&coded, self.header.format, target, &mut fallback)? {
                of_pair(&coded, still)?;
            }
            drop(coded);
            self.renditions(picture, smaller, fallback, emit)
        };
        self.cores.both(aside, here).map(drop)
    }

    /// The one file of a target, as it meets the recipe's goal.
    fn file(&self, picture: &Raster<u8>, target: &Target) -> Result<Encoded, RenderError> {
        let make = |quality| {
            self.labelled(match target.formats {
                Formats::One(format) => (format, encode(picture, format, quality, target.effort)?),
                Formats::Pair | Formats::Smallest => self.smallest(picture, quality, target.effort)?,
            })
        };
        match self.plan.goal {
            None => make(target.quality),
            Some(Goal::Bytes(max)) => {
                let fits = |(_, bytes): &(_, Vec<u8>)| bytes.len() as u64 <= max.get();
                search::highest_that_fits(target.quality, make, fits)?.ok_or_else(|| too_many_bytes(max))
            }
            Some(Goal::Score(least)) => self.labelled(self.scored(picture, target, least)?),
        }
    }

    fn smallest(&self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Encoded, RenderError> {
        choose::smallest(picture, self.header.format, quality, effort, &self.cores)
    }

    /// The file of one target at the lowest quality that scores so much, else without loss. Which format is the smallest is
    /// found out at the target's own quality.
    fn scored(&self, picture: &Raster<u8>, target: &Target, least: f64) -> Result<Encoded, RenderError> {
        let format = match target.formats {
            Formats::One(format) => format,
            Formats::Pair | Formats::Smallest => self.smallest(picture, target.quality, target.effort)?.0,
        };
        let bytes = match lowest(picture, format, target.effort, least)? {
            Some((_, bytes)) => Some(bytes),
            None => encode::lossless(picture, format)?,
        };
        Ok((format, bytes.ok_or_else(|| scores_less(least, format))?))
    }

    /// Renditions in WebP move; the others show the first frame; a recipe has either, or pairs of them. Where the recipe
    /// bounds the bytes, the whole is made again for each quality that is tried: frames are too many to keep. Where it asks
    /// for a score, the first frame decides on the quality of all.
    pub(super) fn animation(&self, emit: Emit<'_>) -> Result<ImageAnalysis, RenderError> {
        let targets = &self.plan.targets;
        let max = match self.plan.goal {
            None => return self.animate(targets, emit),
            Some(Goal::Score(least)) => {
                let quality = self.quality_of_first(&targets[0], least)?;
                return self.animate(&[Target { quality, ..targets[0].clone() }], emit);
            }
            Some(Goal::Bytes(max)) => max,
        };
        let make = |quality| {
            let targets: Vec<_> = targets.iter().map(|target| Target { quality, ..target.clone() }).collect();
            let mut files = Vec::new();
            let facts = self.animate(&targets, &mut |file| {
                files.push(file);
                Ok(())
            })?;
            Ok((facts, files))
        };
        let fits = |(_, files): &(_, Vec<Rendered>)| files.iter().all(|file| file.bytes.len() as u64 <= max.get());
        let found = search::highest_that_fits(targets[0].quality, make, fits)?;
        let (facts, files) = found.ok_or_else(|| too_many_bytes(max))?;
        files.into_iter().try_for_each(emit).map_err(RenderError::Emit)?;
        Ok(facts)
    }

    /// The lowest quality at which the first frame scores so much.
    fn quality_of_first(&self, target: &Target, least: f64) -> Result<Quality, RenderError> {
        let coded = self.mounted(linear::to_8(&self.first()?).drop_opaque_alpha());
        let format = if let Formats::One(format) = target.formats { format } else { Webp };
        Ok(lowest(&coded, format, target.effort, least)?.ok_or_else(|| scores_less(least, format))?.0)
    }

    fn animate(&self, targets: &[Target], emit: Emit<'_>) -> Result<ImageAnalysis, RenderError> {
        let codecs::Animation { plays, mut frames } = codecs::animation(self.source, &self.header)?;
        let mut encoders = Vec::new();
        for target in targets.iter().filter(|target| !matches!(target.formats, Formats::One(Jpeg | Png | Avif))) {
            let (width, height) = self.plan.mount.sides((target.width, target.height));
            encoders.push(encode::Animation::new(width, height, plays, target.webp_quality(), target.effort)?);
        }
        let (mut to_gamut, mut framing) = (None, None);
        let mut learnt = None;
        let mut fallback = None;
        while let Some(frame) = frames.next().transpose()? {
            let first = learnt.is_none();
            let transform = to_gamut.get_or_insert_with(|| self.conversion(frame.picture.channels));
            let mut picture = self.largest(&Samples::Eight(frame.picture).into(), Some(transform), &mut framing)?;
            if first {
                learnt = Some(self.facts(&picture)?);
            }
            let mut shown = Vec::new();
            for target in targets {
                picture = shrink(picture, target)?;
                let coded = self.mounted(linear::to_8(&picture));
                if first {
                    let seen = coded.clone().drop_opaque_alpha();
                    if let Some(still) = still_of(&seen, self.header.format, target, &mut fallback)? {
                        let (format, bytes) = self.labelled(still)?;
                        emit(self.rendered(target, format, bytes)).map_err(RenderError::Emit)?;
                    }
                }
                shown.push(coded);
            }
            if encoders.is_empty() {
                break;
            }
            self.add(&mut encoders, &shown, frame.milliseconds)?;
        }
        for (target, encoder) in targets.iter().zip(encoders) {
            let (format, bytes) = self.labelled((Webp, encoder.finish()?))?;
            emit(self.rendered(target, format, bytes)).map_err(RenderError::Emit)?;
        }
        learnt.ok_or_else(|| RenderError::bug("there is a frame"))
    }

    /// Adds a frame to each of these, side by side on spare cores.
    fn add(
        &self,
        encoders: &mut [encode::Animation],
        pictures: &[Raster<u8>],
        milliseconds: u32,
    ) -> Result<(), RenderError> {
        match (encoders, pictures) {
            ([encoder, encoders @ ..], [picture, pictures @ ..]) if !pictures.is_empty() => {
                let one = || encoder.add(picture, milliseconds);
                self.cores.both(one, || self.add(encoders, pictures, milliseconds)).map(drop)
            }
            ([encoder], [picture]) => encoder.add(picture, milliseconds),
            _ => Ok(()),
        }
    }

    /// For the standard set: a source that was coded with loss, and is coded again at its own size in its own format,
    /// should not grow: what the bytes more would keep is the first encoder's mistakes. Then the quality is lowered, by two
    /// steps at most. A quality that was asked for is kept.
    fn no_larger(
        &self,
        picture: &Raster<u8>,
        target: &Target,
        (format, mut bytes): Encoded,
    ) -> Result<Encoded, RenderError> {
        let same_format = match self.header.format {
            SourceFormat::Jpeg => format == Jpeg,
            SourceFormat::Webp => format == Webp && self.metadata.lossy_webp,
            _ => false,
        };
        let upright = self.metadata.orientation.map_size((self.header.width, self.header.height));
        if same_format && (target.width, target.height) == upright {
            for quality in LOWERED.into_iter().filter_map(Quality::new) {
                if bytes.len() <= self.source.len() {
                    break;
                }
                bytes = encode(picture, format, quality, target.effort)?;
            }
        }
        Ok((format, bytes))
    }

    fn labelled(&self, (format, bytes): Encoded) -> Result<Encoded, RenderError> {
        Ok((format, self.embedded_metadata.embed(format, bytes)?))
    }

    /// What is learnt of a picture, of its colours in sRGB.
    fn facts(&self, picture: &Raster<u16>) -> Result<ImageAnalysis, RenderError> {
        match self.plan.gamut {
            Gamut::Srgb => facts(picture),
            gamut @ Gamut::P3 => facts(&in_srgb(picture.clone(), gamut)),
        }
    }

    fn conversion(&self, channels: Channels) -> ToGamut {
        ToGamut::new(&self.metadata.space, self.plan.gamut, channels)
    }

    /// How the stored picture is turned, all in all.
    fn orientation(&self) -> Orientation {
        self.metadata.orientation.then(self.plan.turn)
    }

    /// How large the stored picture must at least be decoded for the largest target.
    fn at_least(&self) -> (f64, f64) {
        let target = &self.plan.targets[0];
        let enough = if target.effort == Effort::Speed { ENOUGH_FOR_SPEED } else { ENOUGH };
        let turned = (f64::from(target.width) / target.region.width, f64::from(target.height) / target.region.height);
        let ratio = self.orientation().map_size(turned);
        (f64::from(self.header.width) * ratio.0 * enough, f64::from(self.header.height) * ratio.1 * enough)
    }

    /// The largest target's picture, of an animation that of its first frame.
    pub(super) fn first(&self) -> Result<Raster<u16>, RenderError> {
        let still = if self.header.is_animated() {
            let mut frames = codecs::animation(self.source, &self.header)?.frames;
            let frame = frames.next().transpose()?.ok_or_else(|| RenderError::bug("there is a frame"))?;
            Samples::Eight(frame.picture).into()
        } else {
            codecs::still(self.source, &self.header, &self.metadata, self.at_least(), self.scans)?
        };
        self.largest(&still, None, &mut None)
    }

    /// What is encoded of a picture.
    fn mounted(&self, picture: Raster<u8>) -> Raster<u8> {
        let mounted = self.plan.mount.apply(picture);
        match &self.overlay {
            Some(overlay) => overlay.on(&mounted),
            None => mounted,
        }
    }

    /// The largest target's picture: in linear light, turned, in its gamut, with its effects. Resized first, because the rest is
    /// cheaper then. `framing` is the part that draws the eye, once it is known: for all frames that of the first.
    fn largest(
        &self,
        still: &Still,
        to_gamut: Option<&ToGamut>,
        framing: &mut Option<Region>,
    ) -> Result<Raster<u16>, RenderError> {
        let orientation = self.orientation();
        let sides = (f64::from(self.header.width), f64::from(self.header.height));
        let scale = (still.extent.0 / sides.0, still.extent.1 / sides.1);
        let show = |part: Region, (width, height): (u32, u32)| {
            let region = orientation.unmap_region(part, orientation.map_size(sides)).scaled(scale, still.extent);
            let (width, height) = orientation.map_size((width, height));
            let picture = orientation.apply(resize_coded(&still.samples, region, width, height)?);
            Ok::<_, RenderError>(match to_gamut {
                Some(to_gamut) => to_gamut.apply(picture),
                None => self.conversion(picture.channels).apply(picture),
            })
        };
        let target = &self.plan.targets[0];
        let region = match (self.plan.attention, *framing) {
            (None, _) => target.region,
            (Some(_), Some(known)) => known,
            (Some(area), None) => {
                let small = show(area, attention::sides(area))?;
                *framing.insert(attention::frame(&small, area, target.region))
            }
        };
        self.plan.effects.apply(show(region, (target.width, target.height))?)
    }

    fn rendered(&self, target: &Target, format: RenditionFormat, bytes: Vec<u8>) -> Rendered {
        let (width, height) = self.plan.mount.sides((target.width, target.height));
        Rendered { name: format!("{}.{format}", target.name), format, width, height, bytes }
    }
}

/// The lowest quality that scores so much, and what it makes.
fn lowest(
    picture: &Raster<u8>,
    format: RenditionFormat,
    effort: Effort,
    least: f64,
) -> Result<Option<(Quality, Vec<u8>)>, RenderError> {
    let laid_on_white = (format == Jpeg).then(|| picture.flatten_on_white());
    let seen = laid_on_white.as_deref().unwrap_or(picture);
    let make = |quality| {
        let bytes = encode(picture, format, quality, effort)?;
        Ok((score(seen, &bytes)?, (quality, bytes)))
    };
    Ok(search::lowest_that_serves(make, |(score, _)| *score >= least)?.map(|(_, found)| found))
}

fn scores_less(least: f64, format: RenditionFormat) -> RenderError {
    RenderError::unsatisfiable(format!("The file scores less than {least} at the highest quality of {format}."))
}

fn too_many_bytes(max: NonZeroU64) -> RenderError {
    RenderError::unsatisfiable(format!("The file has more than {max} bytes at the lowest quality."))
}

fn shrink(picture: Raster<u16>, target: &Target) -> Result<Raster<u16>, RenderError> {
    if (picture.width, picture.height) == (target.width, target.height) {
        return Ok(picture);
    }
    Ok(resize(&picture, Region::whole(&picture), target.width, target.height)?)
}

/// The file of one target that never moves. What is in JPEG's place is chosen at the largest size and kept for the others.
fn still_of(
    picture: &Raster<u8>,
    source: SourceFormat,
    target: &Target,
    fallback: &mut Option<RenditionFormat>,
) -> Result<Option<Encoded>, RenderError> {
    let format = match (target.formats, *fallback) {
        (Formats::One(Webp) | Formats::Smallest, _) => return Ok(None),
        (Formats::One(format), _) | (Formats::Pair, Some(format)) => format,
        (Formats::Pair, None) => {
            let (format, bytes) = choose::fallback(picture, source, target.quality, target.effort)?;
            *fallback = Some(format);
            return Ok(Some((format, bytes)));
        }
    };
    Ok(Some((format, encode(picture, format, target.quality, target.effort)?)))
}
