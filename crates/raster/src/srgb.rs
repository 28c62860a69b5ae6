//! sRGB's transfer function (IEC 61966-2-1): exact, and as polynomials for SIMD code, where a table look-up would handle
//! one sample at a time.
//!
//! The linear segment near black is exact. Over the rest, the polynomials have the least maximum error (minimax); a test
//! measures it.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

/// The linear value of a coded one, both 0 to 1, as the standard defines it.
pub(crate) fn decode(coded: f64) -> f64 {
    if coded <= 0.040_45 { coded / 12.92 } else { ((coded + 0.055) / 1.055).powf(2.4) }
}

/// The coded value of a linear one, both 0 to 1, as the standard defines it.
pub(crate) fn encode(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// [`decode`] with an error below 2·10⁻⁶, an eighth of a 16-bit step.
#[inline(always)]
pub(crate) fn decode_approx(coded: f32) -> f32 {
    const CURVE: [f32; 8] = [
        0.062_173_77,
        -0.277_597_3,
        0.544_324_9,
        -0.663_291_6,
        0.804_612_2,
        0.494_245_5,
        0.034_664_07,
        0.000_870_128_75,
    ];
    if coded <= 0.040_45 { coded * (1.0 / 12.92) } else { horner(&CURVE, coded) }
}

/// [`encode`] with an error below 7·10⁻⁶, a five-hundredth of an 8-bit step.
#[inline(always)]
pub(crate) fn encode_approx(linear: f32) -> f32 {
    // x^(5/12) is the power 5/3 of the fourth root, which is nearly linear and needs few coefficients.
    const CURVE: [f32; 6] = [-0.068_147_325, 0.289_532_23, -0.577_480_8, 1.255_402_7, 0.162_026_88, -0.061_340_294];
    if linear <= 0.003_130_8 { linear * 12.92 } else { horner(&CURVE, linear.sqrt().sqrt()) }
}

/// Evaluates a polynomial, coefficients of the highest power first.
#[inline(always)]
fn horner(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum.mul_add(x, *coefficient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_approximations_stay_within_their_error() {
        for i in 0..=65_535_u16 {
            let value = f32::from(i) / 65_535.0;
            let error = f64::from(decode_approx(value)) - decode(value.into());
            assert!(error.abs() < 2e-6, "decoding {value} has an error of {error}");
        }
        for i in 0..=65_535_u16 {
            let value = f64::from(i) / 65_535.0;
            #[expect(clippy::cast_possible_truncation, reason = "f32 is the precision under test")]
            let error = f64::from(encode_approx(decode(value) as f32)) - value;
            assert!(error.abs() < 7e-6, "encoding {value} has an error of {error}");
        }
    }
}
