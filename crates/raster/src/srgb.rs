//! sRGB's transfer function (IEC 61966-2-1): exact, and as polynomials for SIMD code, where a table look-up would handle
//! one sample at a time.
//!
//! The straight part at the dark end is exact. Coefficients are those of the least maximum error over the rest, of the form
//! that needs the fewest; a test measures the error.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

/// The light of a coded value, both 0 to 1, exactly as the standard defines it.
#[must_use]
pub fn decode(coded: f64) -> f64 {
    if coded <= 0.040_45 { coded / 12.92 } else { ((coded + 0.055) / 1.055).powf(2.4) }
}

/// The coded value of light, both 0 to 1, exactly as the standard defines it.
#[must_use]
pub fn encode(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// The light of a coded value, both 0 to 1: no more than 2 millionths off, a ninth of a step of 16 bits.
#[inline(always)]
pub fn light(coded: f32) -> f32 {
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

/// The coded value of light, both 0 to 1: no more than 7 millionths off, a five-hundredth of a step of 8 bits.
#[inline(always)]
pub fn coded(light: f32) -> f32 {
    // A power of 5/12 is one of 5/3 of the fourth root, which is nearly straight.
    const CURVE: [f32; 6] = [-0.068_147_325, 0.289_532_23, -0.577_480_8, 1.255_402_7, 0.162_026_88, -0.061_340_294];
    if light <= 0.003_130_8 { light * 12.92 } else { horner(&CURVE, light.sqrt().sqrt()) }
}

/// A polynomial, its highest power first.
#[inline(always)]
fn horner(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum.mul_add(x, *coefficient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_as_near_to_the_curve_as_they_say() {
        for i in 0..=65_535_u16 {
            let value = f32::from(i) / 65_535.0;
            let off = f64::from(light(value)) - decode(value.into());
            assert!(off.abs() < 2e-6, "the light of {value} is {off} off");
        }
        for i in 0..=65_535_u16 {
            let value = f64::from(i) / 65_535.0;
            #[allow(clippy::cast_possible_truncation)] // the curve in the precision of its argument
            let off = f64::from(coded(decode(value) as f32)) - value;
            assert!(off.abs() < 7e-6, "the code of {value} is {off} off");
        }
    }
}
