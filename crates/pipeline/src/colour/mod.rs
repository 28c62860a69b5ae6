//! Colour management: from a file's colour space to sRGB or Display P3.

mod cmyk;
mod gray_by_rgb;
mod tone_map;

pub(crate) use cmyk::CmykToSrgb;

use std::sync::Arc;

use darkroom_model::recipe::Gamut;
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ParsingOptions, ToneReprCurve, TransferCharacteristics, Transform16BitExecutor,
    TransformOptions,
};

use darkroom_raster::{Channels, Raster, Samples, linear};

use crate::RenderError;
use gray_by_rgb::GrayTable;
use tone_map::{HdrCurve, ToneMap};

/// The largest ICC profile that is read, in bytes. CMYK profiles with tables have about half a megabyte.
pub(crate) const MAX_PROFILE: usize = 8 << 20;

/// The colour space of a picture's coded values.
#[derive(Clone, Debug, Default)]
pub(crate) enum ColourSpace {
    /// sRGB, declared or assumed.
    #[default]
    Srgb,
    /// An ICC profile.
    Icc(Vec<u8>),
    /// Code points of ITU-T H.273, as in PNG's cICP chunk and AVIF's nclx property: primaries and transfer function.
    Cicp(CicpProfile),
    /// High dynamic range.
    Hdr(ToneMap),
    /// PNG's gAMA chunk, as the exponent from coded values to light, and its cHRM chunk: white, red, green, blue.
    Gamma(f32, Option<[Chromaticity; 4]>),
}

impl ColourSpace {
    /// From code points of ITU-T H.273: colour primaries and transfer characteristics. The curves of BT.709 and BT.2020 are taken
    /// for sRGB's, as in browsers, because pictures are made on displays that show them so. Unknown and unspecified code points are
    /// taken for sRGB's.
    pub(crate) fn from_code_points(primaries: u16, transfer: u16) -> Self {
        match transfer {
            16 => return Self::Hdr(ToneMap { curve: HdrCurve::Pq, primaries }),
            18 => return Self::Hdr(ToneMap { curve: HdrCurve::Hlg, primaries }),
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

    /// The gamut of a rendition: the wanted one where the conversion from this space to sRGB changes colours, else sRGB.
    pub(crate) fn gamut(&self, wanted: Gamut) -> Gamut {
        let differs_from_srgb =
            || matches!(ToGamut::new(self, Gamut::Srgb, Channels::Rgb).conversion, Conversion::Profile(_));
        match wanted {
            Gamut::P3 if differs_from_srgb() => Gamut::P3,
            Gamut::P3 | Gamut::Srgb => Gamut::Srgb,
        }
    }

    /// The ICC profile, if it is one of RGB.
    fn rgb_profile(&self) -> Option<ColorProfile> {
        match self {
            Self::Icc(bytes) => parse(bytes).filter(|profile| profile.color_space == DataColorSpace::Rgb),
            _ => None,
        }
    }

    /// `None` for sRGB, and for a profile that cannot be used: the picture is then taken for sRGB, as in browsers.
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

/// The profile of a rendition. Display P3 has sRGB's transfer function.
fn target_profile(gamut: Gamut, gray: bool) -> ColorProfile {
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

/// The ICC profile of Display P3; always the same bytes.
pub(crate) fn p3_profile() -> Result<Vec<u8>, RenderError> {
    let mut profile = ColorProfile::new_display_p3();
    // The cicp tag would repeat the curve and primaries.
    profile.cicp = None;
    let mut bytes = profile.encode().map_err(RenderError::internal)?;
    // A fixed creation date (ICC.1:2022, section 7.2.10) keeps the bytes the same: 2026-01-01.
    if let Some(date) = bytes.get_mut(24..36) {
        date.copy_from_slice(&[0x07, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    Ok(bytes)
}

/// Converts an sRGB colour to a gamut.
pub(crate) fn srgb_colour_in(gamut: Gamut, colour: [u8; 3]) -> [u8; 3] {
    if gamut == Gamut::Srgb {
        return colour;
    }
    let options = TransformOptions::default();
    let transform = ColorProfile::new_srgb().create_transform_8bit(
        Layout::Rgb,
        &target_profile(gamut, false),
        Layout::Rgb,
        options,
    );
    let mut converted = colour;
    match transform.map(|transform| transform.transform(&colour, &mut converted)) {
        Ok(Ok(())) => converted,
        _ => colour,
    }
}

/// Converts a picture in linear light from a gamut to sRGB.
pub(crate) fn gamut_to_srgb(picture: Raster<u16>, gamut: Gamut) -> Raster<u16> {
    match gamut {
        Gamut::Srgb => picture,
        // The code points of Display P3 (ITU-T H.273).
        Gamut::P3 => ToGamut::new(&ColourSpace::from_code_points(12, 13), Gamut::Srgb, picture.channels).apply(picture),
    }
}

/// Converts a picture in linear light from sRGB to a gamut.
pub(crate) fn srgb_to_gamut(picture: Raster<u16>, gamut: Gamut) -> Raster<u16> {
    let srgb = ColourSpace::cicp(CicpColorPrimaries::Bt709, TransferCharacteristics::Srgb);
    ToGamut::new(&srgb, gamut, picture.channels).apply(picture)
}

/// Converts pictures from a colour space to a gamut. Made once per picture and used for every frame.
pub(crate) struct ToGamut {
    conversion: Conversion,
}

enum Conversion {
    /// The values stay.
    None,
    Profile(Arc<Transform16BitExecutor>),
    /// Gray samples with a profile of RGB, by their coded value.
    GrayByRgb(GrayTable),
    ToneMap(ToneMap),
}

impl ToGamut {
    pub(crate) fn new(space: &ColourSpace, gamut: Gamut, channels: Channels) -> Self {
        let gray = channels.without_alpha() == Channels::Gray;
        if gray && let Some(table) = space.rgb_profile().and_then(|profile| GrayTable::new(&profile, gamut)) {
            return Self { conversion: Conversion::GrayByRgb(table) };
        }
        let layout = match channels {
            Channels::Gray => Layout::Gray,
            Channels::GrayAlpha => Layout::GrayAlpha,
            Channels::Rgb => Layout::Rgb,
            Channels::Rgba => Layout::Rgba,
        };
        let transform = space
            .profile(gray)
            .and_then(|profile| {
                profile
                    .create_transform_16bit(layout, &target_profile(gamut, gray), layout, TransformOptions::default())
                    .ok()
            })
            .filter(|transform| !is_identity(transform, channels));
        let conversion = match (space, transform) {
            (ColourSpace::Hdr(tone_map), _) => Conversion::ToneMap(*tone_map),
            (_, Some(transform)) => Conversion::Profile(transform),
            (_, None) => Conversion::None,
        };
        Self { conversion }
    }

    /// Converts a picture in linear light with premultiplied alpha.
    #[tracing::instrument(level = "trace", name = "colour", skip_all)]
    pub(crate) fn apply(&self, picture: Raster<u16>) -> Raster<u16> {
        let transform = match &self.conversion {
            Conversion::None => return picture,
            Conversion::ToneMap(tone_map) => {
                return linear::from_coded(&Samples::Sixteen(tone_map.apply(&linear::to_16(&picture))));
            }
            Conversion::GrayByRgb(table) => {
                return linear::from_coded(&Samples::Sixteen(table.apply(&linear::to_16(&picture))));
            }
            Conversion::Profile(transform) => transform,
        };
        let coded = linear::to_16(&picture);
        let mut converted = vec![0; coded.samples.len()];
        match transform.transform(&coded.samples, &mut converted) {
            Ok(()) => linear::from_coded(&Samples::Sixteen(coded.with_samples(coded.channels, converted))),
            // An unusable profile: taken for sRGB, as in `ColourSpace::profile`.
            Err(_) => picture,
        }
    }
}

/// Whether a transform changes no colour by more than half a step of 8 bits. Many profiles are sRGB under another name, and
/// their pictures must stay unchanged.
fn is_identity(transform: &Arc<Transform16BitExecutor>, channels: Channels) -> bool {
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
