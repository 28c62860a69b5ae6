//! From the colours a file means to sRGB, or to Display P3.

use std::sync::Arc;

use darkroom_model::recipe::Gamut;
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ParsingOptions, ToneReprCurve, TransferCharacteristics, Transform16BitExecutor,
    TransformOptions,
};

use darkroom_raster::{Channels, Raster, Samples, linear};

use crate::{
    RenderError,
    hdr::{Curve, ToneMap},
};

/// The largest profile that is read, in bytes. CMYK profiles with tables have about half a megabyte.
pub(crate) const MAX_PROFILE: usize = 8 << 20;

/// What the coded values of a picture mean.
#[derive(Clone, Debug, Default)]
pub(crate) enum Space {
    /// sRGB, said or assumed.
    #[default]
    Srgb,
    /// An ICC profile.
    Icc(Vec<u8>),
    /// Code points of ITU-T H.273, as in PNG's cICP chunk and AVIF's nclx property: primaries and transfer function.
    Cicp(CicpProfile),
    /// High dynamic range.
    Hdr(ToneMap),
    /// PNG's gAMA chunk, as the exponent that leads to light, and its cHRM chunk: white, red, green, blue.
    Gamma(f32, Option<[Chromaticity; 4]>),
}

impl Space {
    /// From code points of ITU-T H.273. Television's curve (BT.709, and 2020's like it) is taken for sRGB's, as in
    /// browsers: its pictures were made on screens that show them so. What is unknown or not said is sRGB's.
    pub(crate) fn from_code_points(primaries: u16, transfer: u16) -> Self {
        match transfer {
            16 => return Self::Hdr(ToneMap { curve: Curve::Pq, primaries }),
            18 => return Self::Hdr(ToneMap { curve: Curve::Hlg, primaries }),
            _ => {}
        }
        let known = |code: u16, otherwise: u8| u8::try_from(code).ok().filter(|code| *code > 2).unwrap_or(otherwise);
        let (primaries, transfer) = (known(primaries, 1), known(transfer, 13));
        let transfer = if matches!(transfer, 6 | 14 | 15) { 13 } else { transfer };
        match (primaries, transfer, primaries.try_into(), transfer.try_into()) {
            (1, 13, ..) => Self::Srgb,
            (_, _, Ok(primaries), Ok(transfer)) => Self::cicp(primaries, transfer),
            _ => Self::Srgb,
        }
    }

    fn cicp(color_primaries: CicpColorPrimaries, transfer_characteristics: TransferCharacteristics) -> Self {
        Self::Cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        })
    }

    /// The colours that a picture in this space is to have: sRGB's where it has no others.
    pub(crate) fn gamut(&self, wanted: Gamut) -> Gamut {
        let has_others = || matches!(ToGamut::new(self, Gamut::Srgb, Channels::Rgb).conversion, Conversion::Profile(_));
        match wanted {
            Gamut::P3 if has_others() => Gamut::P3,
            Gamut::P3 | Gamut::Srgb => Gamut::Srgb,
        }
    }

    /// `None` for sRGB, and for a profile that cannot be used: then the picture counts as sRGB, as in browsers.
    fn profile(&self, gray: bool) -> Option<ColorProfile> {
        let wanted = if gray { DataColorSpace::Gray } else { DataColorSpace::Rgb };
        match self {
            Self::Srgb | Self::Hdr(_) => None,
            Self::Icc(bytes) => parse(bytes).filter(|profile| profile.color_space == wanted),
            Self::Cicp(cicp) if gray => {
                let mut profile = ColorProfile::new_gray_with_gamma(2.2);
                profile.gray_trc = ColorProfile::new_from_cicp(*cicp).red_trc;
                Some(profile)
            }
            Self::Cicp(cicp) => Some(ColorProfile::new_from_cicp(*cicp)),
            Self::Gamma(exponent, _) if gray => Some(ColorProfile::new_gray_with_gamma(*exponent)),
            Self::Gamma(exponent, chromaticities) => {
                let mut profile = ColorProfile::new_srgb();
                if let Some([white, red, green, blue]) = *chromaticities {
                    profile.update_rgb_colorimetry(white.to_xyyb(), ColorPrimaries { red, green, blue });
                }
                let curve = ToneReprCurve::Parametric(vec![*exponent]);
                profile.red_trc = Some(curve.clone());
                profile.green_trc = Some(curve.clone());
                profile.blue_trc = Some(curve);
                profile.cicp = None;
                Some(profile)
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<ColorProfile> {
    let options = ParsingOptions { max_profile_size: MAX_PROFILE, ..ParsingOptions::default() };
    ColorProfile::new_from_slice_with_options(bytes, options).ok()
}

/// What the values of a rendition mean. Display P3 has sRGB's curve.
fn target(gamut: Gamut, gray: bool) -> ColorProfile {
    match gamut {
        _ if gray => {
            let mut gray = ColorProfile::new_gray_with_gamma(2.2);
            gray.gray_trc = ColorProfile::new_srgb().red_trc;
            gray
        }
        Gamut::Srgb => ColorProfile::new_srgb(),
        Gamut::P3 => ColorProfile::new_display_p3(),
    }
}

/// The ICC profile of Display P3, always the same bytes.
pub(crate) fn p3_profile() -> Result<Vec<u8>, RenderError> {
    let mut profile = ColorProfile::new_display_p3();
    // Says of the curve and the primaries what the profile says already.
    profile.cicp = None;
    let mut bytes = profile.encode().map_err(RenderError::bug)?;
    // When it was made (ICC.1:2022, section 7.2.10): the first of January 2026, not now.
    if let Some(date) = bytes.get_mut(24..36) {
        date.copy_from_slice(&[0x07, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    Ok(bytes)
}

/// An sRGB colour in the values of another gamut.
pub(crate) fn srgb_in(gamut: Gamut, colour: [u8; 3]) -> [u8; 3] {
    if gamut == Gamut::Srgb {
        return colour;
    }
    let options = TransformOptions::default();
    let transform =
        ColorProfile::new_srgb().create_transform_8bit(Layout::Rgb, &target(gamut, false), Layout::Rgb, options);
    let mut converted = colour;
    match transform.map(|transform| transform.transform(&colour, &mut converted)) {
        Ok(Ok(())) => converted,
        _ => colour,
    }
}

/// A picture in linear light and a gamut, in sRGB's values.
pub(crate) fn in_srgb(picture: Raster<u16>, gamut: Gamut) -> Raster<u16> {
    match gamut {
        Gamut::Srgb => picture,
        // The code points of Display P3 (ITU-T H.273).
        Gamut::P3 => ToGamut::new(&Space::from_code_points(12, 13), Gamut::Srgb, picture.channels).apply(picture),
    }
}

/// A picture in linear light and sRGB, in the values of a gamut.
pub(crate) fn from_srgb(picture: Raster<u16>, gamut: Gamut) -> Raster<u16> {
    let srgb = Space::cicp(CicpColorPrimaries::Bt709, TransferCharacteristics::Srgb);
    ToGamut::new(&srgb, gamut, picture.channels).apply(picture)
}

/// Turns the values of one space into those of a gamut. Made once per picture, used for every frame.
pub(crate) struct ToGamut {
    conversion: Conversion,
}

enum Conversion {
    /// Its values are the right ones already.
    Nothing,
    Profile(Arc<Transform16BitExecutor>),
    ToneMap(ToneMap),
}

impl ToGamut {
    pub(crate) fn new(space: &Space, gamut: Gamut, channels: Channels) -> Self {
        let gray = channels.without_alpha() == Channels::Gray;
        let layout = match channels {
            Channels::Gray => Layout::Gray,
            Channels::GrayAlpha => Layout::GrayAlpha,
            Channels::Rgb => Layout::Rgb,
            Channels::Rgba => Layout::Rgba,
        };
        let transform = space
            .profile(gray)
            .and_then(|profile| {
                profile.create_transform_16bit(layout, &target(gamut, gray), layout, TransformOptions::default()).ok()
            })
            .filter(|transform| !changes_nothing(transform, channels));
        let conversion = match (space, transform) {
            (Space::Hdr(tone_map), _) => Conversion::ToneMap(*tone_map),
            (_, Some(transform)) => Conversion::Profile(transform),
            (_, None) => Conversion::Nothing,
        };
        Self { conversion }
    }

    /// Converts a picture in linear light with premultiplied alpha.
    #[tracing::instrument(level = "trace", name = "colour", skip_all)]
    pub(crate) fn apply(&self, picture: Raster<u16>) -> Raster<u16> {
        let transform = match &self.conversion {
            Conversion::Nothing => return picture,
            Conversion::ToneMap(tone_map) => {
                return linear::from_coded(&Samples::Sixteen(tone_map.apply(&linear::to_16(&picture))));
            }
            Conversion::Profile(transform) => transform,
        };
        let coded = linear::to_16(&picture);
        let mut converted = vec![0; coded.samples.len()];
        match transform.transform(&coded.samples, &mut converted) {
            Ok(()) => linear::from_coded(&Samples::Sixteen(coded.with_samples(coded.channels, converted))),
            // A profile that cannot be used, as in `Space::profile`.
            Err(_) => picture,
        }
    }
}

/// Whether a transform moves no colour by half a step of 8 bits: many profiles are sRGB by another name, and their
/// pictures should come out untouched.
fn changes_nothing(transform: &Arc<Transform16BitExecutor>, channels: Channels) -> bool {
    const STEPS: u16 = 6;
    let level = |i: u16| u16::MAX / (STEPS - 1) * i;
    let mut probes = Vec::new();
    for i in 0..STEPS.pow(3) {
        let rgb = [level(i % STEPS), level(i / STEPS % STEPS), level(i / STEPS / STEPS)];
        probes.extend(&rgb[..channels.without_alpha().count()]);
        if channels.has_alpha() {
            probes.push(u16::MAX);
        }
    }
    let mut converted = vec![0; probes.len()];
    transform.transform(&probes, &mut converted).is_ok()
        && probes.iter().zip(&converted).all(|(before, after)| before.abs_diff(*after) <= 128)
}

/// Converts rows of CMYK samples as JPEG stores them: inverted, 255 for no ink. Browsers take every CMYK JPEG so.
pub(crate) struct CmykToSrgb {
    transform: Option<Arc<moxcms::Transform8BitExecutor>>,
}

impl CmykToSrgb {
    /// Through the profile; without a usable one by the plain product that browsers use.
    pub(crate) fn new(icc: Option<&[u8]>) -> Self {
        let transform =
            icc.and_then(parse).filter(|profile| profile.color_space == DataColorSpace::Cmyk).and_then(|profile| {
                let options = TransformOptions::default();
                profile.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options).ok()
            });
        Self { transform }
    }

    /// `cmyk` has four samples for each three of `rgb`. Uses `cmyk` as scratch.
    pub(crate) fn convert(&self, cmyk: &mut [u8], rgb: &mut [u8]) -> Result<(), RenderError> {
        if let Some(transform) = &self.transform {
            for ink in cmyk.iter_mut() {
                *ink = !*ink;
            }
            return transform.transform(cmyk, rgb).map_err(|error| RenderError::broken("JPEG", error));
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
