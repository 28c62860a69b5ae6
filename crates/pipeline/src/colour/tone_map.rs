//! High dynamic range to sRGB: the transfer functions PQ and HLG (ITU-R BT.2100), and a tone map.
//!
//! Reference white is 203 cd/m² (ITU-R BT.2408). Light up to four fifths of it is kept; brighter light is compressed into the
//! remaining fifth. The factor is that of the brightest channel, which keeps the hue.

use darkroom_raster::Raster;

/// Reference white, in cd/m².
const REFERENCE_WHITE: f32 = 203.0;

/// Light above this is compressed; 1 is reference white.
const KNEE: f32 = 0.8;

/// The transfer functions of ITU-R BT.2100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HdrCurve {
    /// Perceptual quantiser (SMPTE ST 2084): absolute, up to 10,000 cd/m².
    Pq,
    /// Hybrid log-gamma, for a display of 1,000 cd/m².
    Hlg,
}

/// Converts HDR coded values to sRGB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToneMap {
    pub(crate) curve: HdrCurve,
    /// Colour primaries, a code point of ITU-T H.273. 9 is BT.2020, 11 and 12 are P3; all others are taken for sRGB's.
    pub(crate) primaries: u16,
}

impl ToneMap {
    /// `coded` has straight alpha.
    pub(crate) fn apply(self, coded: &Raster<u16>) -> Raster<u16> {
        let table: Vec<f32> = (0..=u16::MAX).map(|value| self.light(f32::from(value) / 65_535.0)).collect();
        let matrix = to_srgb_primaries(self.primaries);
        let colours = coded.channels.without_alpha().count();
        let mut samples = coded.samples.clone();
        for pixel in samples.chunks_exact_mut(coded.channels.count()) {
            let mut light = [0, 1, 2].map(|i: usize| table[usize::from(pixel[i.min(colours - 1)])]);
            if self.curve == HdrCurve::Hlg {
                // The opto-optical transfer function: a gamma of 1.2 on luminance.
                let luminance = 0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2];
                let gain = luminance.max(1e-6).powf(0.2) * 1_000.0 / REFERENCE_WHITE;
                light = light.map(|value| value * gain);
            }
            if colours == 3 {
                light = matrix.map(|row| row.iter().zip(light).map(|(a, b)| a * b).sum::<f32>().max(0.0));
            }
            let brightest = light[0].max(light[1]).max(light[2]);
            let factor = compress(brightest) / brightest.max(1e-6);
            for (sample, value) in pixel.iter_mut().zip(light).take(colours) {
                *sample = coded_srgb(value * factor);
            }
        }
        coded.with_samples(coded.channels, samples)
    }

    /// Linear light: for PQ the display's, 1 at reference white; for HLG the scene's, 1 at its peak.
    fn light(self, value: f32) -> f32 {
        match self.curve {
            HdrCurve::Pq => {
                let power = value.powf(1.0 / 78.843_75);
                let ratio = (power - 0.835_937_5).max(0.0) / (18.851_563 - 18.6875 * power);
                ratio.powf(1.0 / 0.159_301_76) * 10_000.0 / REFERENCE_WHITE
            }
            HdrCurve::Hlg if value <= 0.5 => value * value / 3.0,
            HdrCurve::Hlg => (((value - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
        }
    }
}

/// The tone curve: identity up to [`KNEE`], then towards 1.
fn compress(light: f32) -> f32 {
    let range = 1.0 - KNEE;
    if light <= KNEE { light } else { KNEE + range * (1.0 - (-(light - KNEE) / range).exp()) }
}

/// The matrix to sRGB's primaries: from ITU-R BT.2087 for BT.2020, from CSS Color 4 for P3.
fn to_srgb_primaries(primaries: u16) -> [[f32; 3]; 3] {
    match primaries {
        9 => [[1.660_5, -0.587_6, -0.072_8], [-0.124_6, 1.132_9, -0.008_3], [-0.018_2, -0.100_6, 1.118_7]],
        11 | 12 => [[1.224_9, -0.224_9, 0.0], [-0.042_1, 1.042_1, 0.0], [-0.019_6, -0.078_6, 1.098_3]],
        _ => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }
}

/// sRGB's transfer function (IEC 61966-2-1).
fn coded_srgb(light: f32) -> u16 {
    let coded = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65535")]
    let value = (coded.clamp(0.0, 1.0) * 65_535.0).round() as u16;
    value
}

#[cfg(test)]
mod tests {
    use darkroom_raster::Channels;

    use super::*;

    fn mapped(curve: HdrCurve, primaries: u16, pixel: [f64; 3]) -> [u8; 3] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65535")]
        let samples = pixel.map(|value| (value * 65_535.0).round() as u16).to_vec();
        let coded = Raster { width: 1, height: 1, channels: Channels::Rgb, samples };
        let srgb = ToneMap { curve, primaries }.apply(&coded).samples;
        [0, 1, 2].map(|i: usize| u8::try_from((u32::from(srgb[i]) + 128) / 257).unwrap_or(u8::MAX))
    }

    #[test]
    fn a_gray_in_pq_keeps_its_luminance() {
        // 58 % of PQ is 203 cd/m²; 40.6 is a fifth of it, and 44 % of PQ.
        assert_eq!(mapped(HdrCurve::Pq, 9, [0.0; 3]), [0; 3]);
        let [gray, ..] = mapped(HdrCurve::Pq, 9, [0.424_7; 3]);
        assert!(gray.abs_diff(124) <= 8, "{gray}");
        let [white, ..] = mapped(HdrCurve::Pq, 9, [0.58; 3]);
        assert!((240..=250).contains(&white), "{white}");
        let [brightest, ..] = mapped(HdrCurve::Pq, 9, [1.0; 3]);
        assert_eq!(brightest, 255);
    }

    #[test]
    fn a_gray_in_hlg_keeps_its_luminance() {
        // 75 % of HLG is 203 cd/m² on a display of 1,000.
        let [white, ..] = mapped(HdrCurve::Hlg, 9, [0.75; 3]);
        assert!((240..=250).contains(&white), "{white}");
        assert_eq!(mapped(HdrCurve::Hlg, 9, [0.0; 3]), [0; 3]);
    }

    #[test]
    fn a_bright_colour_keeps_its_hue() {
        let [red, green, blue] = mapped(HdrCurve::Pq, 1, [0.75, 0.4, 0.4]);
        assert!(red >= 250 && green == blue && green < 100, "{red} {green} {blue}");
    }
}
