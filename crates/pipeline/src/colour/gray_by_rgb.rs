//! Gray pictures with an ICC profile of RGB: the profile applies to red, green and blue of the same value, as in browsers.

use darkroom_model::recipe::Gamut;
use darkroom_raster::{Channels, Raster};
use moxcms::{ColorProfile, Layout, TransformOptions};

use super::target_profile;

/// Channels that differ by no more than half a step of 8 bits are the same gray.
const MAX_DIFFERENCE: u16 = 128;

/// What every coded gray of 16 bits becomes.
pub(super) struct GrayTable {
    /// One sample for each gray where all remain gray, else red, green and blue.
    samples: Vec<u16>,
    channels: Channels,
}

impl GrayTable {
    /// `None` for a profile that cannot be used, or that changes nothing.
    pub(super) fn new(profile: &ColorProfile, gamut: Gamut) -> Option<Self> {
        let target = target_profile(gamut, false);
        let options = TransformOptions::default();
        let transform = profile.create_transform_16bit(Layout::Rgb, &target, Layout::Rgb, options).ok()?;
        let grays: Vec<u16> = (0..=u16::MAX).flat_map(|gray| [gray; 3]).collect();
        let mut samples = vec![0; grays.len()];
        transform.transform(&grays, &mut samples).ok()?;
        let close = |one: u16, other: u16| one.abs_diff(other) <= MAX_DIFFERENCE;
        if grays.iter().zip(&samples).all(|(before, after)| close(*before, *after)) {
            return None;
        }
        if samples.chunks_exact(3).all(|rgb| close(rgb[0], rgb[1]) && close(rgb[1], rgb[2])) {
            return Some(Self {
                samples: samples.chunks_exact(3).map(|rgb| rgb[1]).collect(),
                channels: Channels::Gray,
            });
        }
        Some(Self { samples, channels: Channels::Rgb })
    }

    /// `coded` is gray, perhaps with alpha, which is kept.
    pub(super) fn apply(&self, coded: &Raster<u16>) -> Raster<u16> {
        let (colours, has_alpha) = (self.channels.count(), coded.channels.has_alpha());
        let channels = match (self.channels, has_alpha) {
            (Channels::Gray, _) => coded.channels,
            (_, true) => Channels::Rgba,
            (_, false) => Channels::Rgb,
        };
        let mut samples = Vec::with_capacity(coded.samples.len() / coded.channels.count() * channels.count());
        for pixel in coded.pixels() {
            let start = usize::from(pixel[0]) * colours;
            samples.extend_from_slice(&self.samples[start..start + colours]);
            samples.extend_from_slice(&pixel[1..]);
        }
        coded.with_samples(channels, samples)
    }
}
