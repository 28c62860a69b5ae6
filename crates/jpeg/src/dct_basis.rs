//! The basis functions of the DCT (T.81, section A.3.3).

use std::f64::consts::PI;

/// The value of the one-dimensional DCT basis function of `frequency` at `sample`, of `samples` samples.
///
/// With 8 samples the basis is orthonormal, as T.81 defines it. With fewer it keeps the amplitude that it has over 8, so
/// that coefficients of an 8×8 block reconstruct the block at a smaller size.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "indices below 8")]
pub(crate) fn dct_basis(frequency: usize, sample: usize, samples: usize) -> f32 {
    let amplitude = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
    (amplitude * (PI / (2 * samples) as f64 * (frequency * (2 * sample + 1)) as f64).cos()) as f32
}
