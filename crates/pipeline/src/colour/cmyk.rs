//! CMYK to sRGB.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, TransformOptions};

use super::parse;
use crate::RenderError;

/// Converts rows of CMYK samples as JPEG files of Adobe's programs store them: inverted, 255 for no ink. Browsers read every
/// CMYK JPEG like this.
pub(crate) struct CmykToSrgb {
    transform: Option<Arc<Transform8BitExecutor>>,
}

impl CmykToSrgb {
    /// Through the ICC profile; without a usable one, by the product of ink and black, as browsers do.
    pub(crate) fn new(icc: Option<&[u8]>) -> Self {
        let transform =
            icc.and_then(parse).filter(|profile| profile.color_space == DataColorSpace::Cmyk).and_then(|profile| {
                let options = TransformOptions::default();
                profile.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options).ok()
            });
        Self { transform }
    }

    /// `cmyk` has four samples per pixel, `rgb` three. Overwrites `cmyk`.
    pub(crate) fn convert(&self, cmyk: &mut [u8], rgb: &mut [u8]) -> Result<(), RenderError> {
        if let Some(transform) = &self.transform {
            for ink in cmyk.iter_mut() {
                *ink = !*ink;
            }
            return transform.transform(cmyk, rgb).map_err(RenderError::internal);
        }
        for (ink, colour) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
            for (ink_sample, out) in ink.iter().zip(colour) {
                let product = u32::from(*ink_sample) * u32::from(ink[3]);
                *out = u8::try_from((product + 127) / 255).unwrap_or(u8::MAX);
            }
        }
        Ok(())
    }
}
