//! What the steps of one picture share, and the state that they pass on.

use std::sync::Arc;

use darkroom_container::{embed::EmbeddedMetadata, exif_filter, xmp_iptc::Attribution};
use darkroom_model::recipe::{Effort, Gamut, Keep};
use darkroom_raster::{Channels, Orientation, Raster, Region};

use crate::{
    RenderError,
    codecs::Decoded,
    colour::{ToGamut, p3_profile},
    cores::SpareCores,
    overlay::Overlay,
    plan::{Plan, Target},
    source::Source,
};

/// How many times the width and height of a rendition a scaled JPEG decode must have at least, so that resizing it loses
/// little. Photographs of 2000 pixels made 500 wide, as a JPEG of quality 80, have an SSIMULACRA2 of 79.5 where they are
/// decoded whole, and of 79.0 from half of their size (compared with a resize in linear light; in gamma space 75.7 and 77.3).
const MIN_OVERSAMPLING: f64 = 1.8;

/// The same where speed counts more: 77.8 from three eighths of the size (whole: 78.1), in nine tenths of the time.
const MIN_OVERSAMPLING_FOR_SPEED: f64 = 1.4;

/// One picture to render: its file, what to make of it, and what is needed to make it.
pub(crate) struct Context<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) plan: Plan,
    pub(crate) overlay: Option<Overlay>,
    /// The ICC profile and EXIF to embed in each rendition.
    pub(crate) embedded_metadata: EmbeddedMetadata,
    pub(crate) cores: SpareCores,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        source: Source<'a>,
        plan: Plan,
        overlay: Option<Overlay>,
        spare_cores: u32,
    ) -> Result<Self, RenderError> {
        let exif = match plan.keep {
            Keep::Nothing => None,
            keep => exif_filter::filter_exif(source.exif(), Attribution::read(source.file), keep),
        };
        let profile = match plan.gamut {
            Gamut::P3 => Some(p3_profile()?),
            Gamut::Srgb => None,
        };
        let embedded_metadata = EmbeddedMetadata { gamut: plan.gamut, profile, exif };
        Ok(Self { source, plan, overlay, embedded_metadata, cores: SpareCores::new(spare_cores) })
    }

    /// From the stored picture to the rendition: the file's orientation, then the recipe's turn.
    pub(crate) fn orientation(&self) -> Orientation {
        self.source.metadata.orientation.then(self.plan.turn)
    }

    /// The largest target.
    pub(crate) fn largest(&self) -> &Target {
        &self.plan.targets[0]
    }

    /// The width and height, in pixels before orientation, that the source must at least be decoded at for the largest target.
    pub(crate) fn decode_size(&self) -> (f64, f64) {
        let target = self.largest();
        let oversampling = if target.effort == Effort::Speed { MIN_OVERSAMPLING_FOR_SPEED } else { MIN_OVERSAMPLING };
        let turned = (f64::from(target.width) / target.region.width, f64::from(target.height) / target.region.height);
        let ratio = self.orientation().map_size(turned);
        let header = &self.source.header;
        (f64::from(header.width) * ratio.0 * oversampling, f64::from(header.height) * ratio.1 * oversampling)
    }
}

/// One frame on its way through the steps.
pub(crate) struct Frame {
    /// As decoded. `None` once it is resized, to free its memory.
    pub(crate) decoded: Option<Decoded>,
    /// In linear light with premultiplied alpha, at the size of the current target. Empty until it is resized.
    pub(crate) picture: Raster<u16>,
    /// Coded values with straight alpha, to be encoded. Empty until the steps of a rendition make it.
    pub(crate) coded: Raster<u8>,
    /// The index of the current target.
    pub(crate) target: usize,
    /// All frames of an animation must have the same channels, so an alpha channel stays where it is opaque.
    pub(crate) keeps_opaque_alpha: bool,
    pub(crate) decided: Decided,
}

/// What the first frame of an animation decides for all that follow.
#[derive(Clone, Default)]
pub(crate) struct Decided {
    /// The part of the picture that is shown, where attention chooses it.
    pub(crate) window: Option<Region>,
    pub(crate) to_gamut: Option<Arc<ToGamut>>,
}

impl Frame {
    pub(crate) fn new(decoded: Decoded, keeps_opaque_alpha: bool, decided: Decided) -> Self {
        Self {
            decoded: Some(decoded),
            picture: Raster::new(0, 0, Channels::Gray),
            coded: Raster::new(0, 0, Channels::Gray),
            target: 0,
            keeps_opaque_alpha,
            decided,
        }
    }

    /// The picture to encode; leaves an empty one.
    pub(crate) fn take_coded(&mut self) -> Raster<u8> {
        std::mem::replace(&mut self.coded, Raster::new(0, 0, Channels::Gray))
    }
}
