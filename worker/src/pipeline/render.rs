//! The steps in their order.

use darkroom_shared::{
    header::Header,
    image::{
        Quality,
        RenditionFormat::{self, Jpeg, Png, Webp},
        SourceFormat,
    },
};

use super::{
    EmitError, RenderError, Rendered, Report, choose,
    colour::ToSrgb,
    decode::{self, Metadata, Samples, Still},
    encode::{self, encode},
    linear,
    plan::{Formats, Target},
    raster::Raster,
    resize::{Region, resize, resize_coded},
};

/// The steps below the standard quality of 80 for a source that is as small already. Lower ones show.
const LOWERED: [u8; 2] = [70, 60];

type Emit<'a> = &'a mut dyn FnMut(Rendered) -> Result<(), EmitError>;

/// One picture to render.
pub(super) struct Job<'a> {
    pub(super) source: &'a [u8],
    pub(super) header: Header,
    pub(super) metadata: Metadata,
    /// At least one, largest first; all but the first show the same part of the source as the first.
    pub(super) targets: Vec<Target>,
    pub(super) scans: u32,
}

impl Job<'_> {
    pub(super) fn still(&self, emit: Emit<'_>) -> Result<Report, RenderError> {
        let still = decode::still(self.source, &self.header, &self.metadata, self.at_least(), self.scans)?;
        let mut picture = self.largest(still, None)?;
        let report = Report::of(&picture)?;
        let mut fallback = None;
        for target in &self.targets {
            picture = shrink(picture, target)?;
            let coded = linear::to_8(&picture).without_idle_alpha();
            for (format, bytes) in encodings(&coded, self.header.format, target, &mut fallback)? {
                let bytes = self.no_larger(&coded, target, format, bytes)?;
                emit(rendered(target, format, bytes)).map_err(RenderError::Emit)?;
            }
        }
        Ok(report)
    }

    /// Renditions in WebP move; the others show the first frame.
    pub(super) fn animation(&self, emit: Emit<'_>) -> Result<Report, RenderError> {
        let decode::Animation { plays, mut frames } = decode::animation(self.source, &self.header)?;
        let moving: Vec<bool> = self.targets.iter().map(|t| !matches!(t.formats, Formats::One(Jpeg | Png))).collect();
        let mut encoders = Vec::new();
        for target in &self.targets {
            encoders.push(encode::Animation::new(target.width, target.height, plays, target.quality)?);
        }
        let mut to_srgb = None;
        let mut report = None;
        let mut fallback = None;
        while let Some(frame) = frames.next().transpose()? {
            let first = report.is_none();
            let transform = to_srgb.get_or_insert_with(|| ToSrgb::new(&self.metadata.space, frame.picture.channels));
            let mut picture = self.largest(Samples::Eight(frame.picture).into(), Some(transform))?;
            if first {
                report = Some(Report::of(&picture)?);
            }
            for ((target, encoder), moving) in self.targets.iter().zip(&mut encoders).zip(&moving) {
                picture = shrink(picture, target)?;
                let coded = linear::to_8(&picture);
                if *moving {
                    encoder.add(&coded, frame.milliseconds)?;
                }
                if first
                    && let Some((format, bytes)) =
                        still_of(&coded.without_idle_alpha(), self.header.format, target, &mut fallback)?
                {
                    emit(rendered(target, format, bytes)).map_err(RenderError::Emit)?;
                }
            }
            if !moving.contains(&true) {
                break;
            }
        }
        for ((target, encoder), moving) in self.targets.iter().zip(encoders).zip(moving) {
            if moving {
                emit(rendered(target, Webp, encoder.finish()?)).map_err(RenderError::Emit)?;
            }
        }
        report.ok_or_else(|| RenderError::bug("there is a frame"))
    }

    /// A source that was coded with loss, and is coded again at its own size in its own format, should not grow: what
    /// the bytes more would keep is the first encoder's mistakes. Then the standard quality is lowered, by two steps at
    /// most. A quality that was asked for is kept.
    fn no_larger(
        &self,
        picture: &Raster<u8>,
        target: &Target,
        format: RenditionFormat,
        mut bytes: Vec<u8>,
    ) -> Result<Vec<u8>, RenderError> {
        let same_format = match self.header.format {
            SourceFormat::Jpeg => format == Jpeg,
            SourceFormat::Webp => format == Webp && self.metadata.lossy_webp,
            _ => false,
        };
        let upright = self.metadata.orientation.swap((self.header.width, self.header.height));
        if same_format && target.formats == Formats::Pair && (target.width, target.height) == upright {
            for quality in LOWERED.into_iter().filter_map(Quality::new) {
                if bytes.len() <= self.source.len() {
                    break;
                }
                bytes = encode(picture, format, quality)?;
            }
        }
        Ok(bytes)
    }

    /// How large the stored picture must at least be decoded for the largest target.
    fn at_least(&self) -> (f64, f64) {
        let target = &self.targets[0];
        let upright = (f64::from(target.width) / target.region.width, f64::from(target.height) / target.region.height);
        let ratio = self.metadata.orientation.swap(upright);
        (f64::from(self.header.width) * ratio.0, f64::from(self.header.height) * ratio.1)
    }

    /// The largest target's picture: in linear light, upright, sRGB. Resized first, because the rest is cheaper then.
    fn largest(&self, still: Still, to_srgb: Option<&ToSrgb>) -> Result<Raster<u16>, RenderError> {
        let target = &self.targets[0];
        let orientation = self.metadata.orientation;
        // Regions lie in the middle, so mirroring does not move them.
        let (left, top) = orientation.swap((target.region.left, target.region.top));
        let (width, height) = orientation.swap((target.region.width, target.region.height));
        let scale = (still.extent.0 / f64::from(self.header.width), still.extent.1 / f64::from(self.header.height));
        let region =
            Region { left: left * scale.0, top: top * scale.1, width: width * scale.0, height: height * scale.1 };
        let (width, height) = orientation.swap((target.width, target.height));
        let resized = resize_coded(&still.samples, region, width, height)?;
        drop(still);
        let picture = orientation.apply(resized);
        Ok(match to_srgb {
            Some(to_srgb) => to_srgb.apply(picture),
            None => ToSrgb::new(&self.metadata.space, picture.channels).apply(picture),
        })
    }
}

fn shrink(picture: Raster<u16>, target: &Target) -> Result<Raster<u16>, RenderError> {
    if (picture.width, picture.height) == (target.width, target.height) {
        return Ok(picture);
    }
    resize(&picture, Region::whole(&picture), target.width, target.height)
}

/// The files of one target. What is in JPEG's place is chosen at the largest size and kept for the others.
fn encodings(
    picture: &Raster<u8>,
    source: SourceFormat,
    target: &Target,
    fallback: &mut Option<RenditionFormat>,
) -> Result<Vec<(RenditionFormat, Vec<u8>)>, RenderError> {
    let mut files = Vec::new();
    match target.formats {
        Formats::Smallest => files.push(choose::smallest(picture, source, target.quality)?),
        Formats::One(Webp) | Formats::Pair => files.push((Webp, encode(picture, Webp, target.quality)?)),
        Formats::One(_) => {}
    }
    files.extend(still_of(picture, source, target, fallback)?);
    Ok(files)
}

/// The file of one target that never moves.
fn still_of(
    picture: &Raster<u8>,
    source: SourceFormat,
    target: &Target,
    fallback: &mut Option<RenditionFormat>,
) -> Result<Option<(RenditionFormat, Vec<u8>)>, RenderError> {
    let format = match (target.formats, *fallback) {
        (Formats::One(Webp) | Formats::Smallest, _) => return Ok(None),
        (Formats::One(format), _) | (Formats::Pair, Some(format)) => format,
        (Formats::Pair, None) => {
            let (format, bytes) = choose::fallback(picture, source, target.quality)?;
            *fallback = Some(format);
            return Ok(Some((format, bytes)));
        }
    };
    Ok(Some((format, encode(picture, format, target.quality)?)))
}

fn rendered(target: &Target, format: RenditionFormat, bytes: Vec<u8>) -> Rendered {
    Rendered { name: format!("{}.{format}", target.name), format, width: target.width, height: target.height, bytes }
}
