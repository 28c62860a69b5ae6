//! The forward DCT of 8×8 blocks (T.81, section A.3.3).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use std::array::from_fn;

use crate::dct_basis::dct_basis;

/// Eight rows of eight samples, or of coefficients in natural order.
pub(super) type Matrix = [[f32; 8]; 8];

/// The basis of the forward DCT.
pub(super) struct Fdct {
    /// Weights, for even frequencies, of the sums of samples that lie symmetrically about the centre.
    even: [[f32; 4]; 4],
    /// Weights, for odd frequencies, of the differences of these samples.
    odd: [[f32; 4]; 4],
    /// The basis by sample, then by frequency.
    basis: Matrix,
}

impl Fdct {
    pub(super) fn new() -> Self {
        Self {
            even: from_fn(|frequency| from_fn(|sample| dct_basis(2 * frequency, sample, 8))),
            odd: from_fn(|frequency| from_fn(|sample| dct_basis(2 * frequency + 1, sample, 8))),
            basis: from_fn(|sample| from_fn(|frequency| dct_basis(frequency, sample, 8))),
        }
    }

    /// The coefficients of a block of samples: row by vertical, column by horizontal frequency.
    #[inline(always)]
    pub(super) fn transform(&self, samples: &Matrix) -> Matrix {
        let sums: [[f32; 8]; 4] = from_fn(|row| from_fn(|x| samples[row][x] + samples[7 - row][x]));
        let differences: [[f32; 8]; 4] = from_fn(|row| from_fn(|x| samples[row][x] - samples[7 - row][x]));
        let mut columns = Matrix::default();
        for frequency in 0..4 {
            columns[2 * frequency] = weighted_sum(&self.even[frequency], &sums);
            columns[2 * frequency + 1] = weighted_sum(&self.odd[frequency], &differences);
        }
        let mut coefficients = Matrix::default();
        for (coefficients, row) in coefficients.iter_mut().zip(&columns) {
            *coefficients = weighted_sum(row, &self.basis);
        }
        coefficients
    }
}

/// The sum of `N` rows, each multiplied by its weight.
#[inline(always)]
fn weighted_sum<const N: usize>(weights: &[f32; N], rows: &[[f32; 8]; N]) -> [f32; 8] {
    let mut sum = [0.0_f32; 8];
    for (weight, row) in weights.iter().zip(rows) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum = weight.mul_add(*value, *sum);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basis_function_has_one_coefficient() {
        let fdct = Fdct::new();
        for (v, u) in [(0, 0), (0, 1), (3, 0), (7, 7), (4, 5)] {
            let samples = from_fn(|y| from_fn(|x| 100.0 * dct_basis(v, y, 8) * dct_basis(u, x, 8)));
            for (y, row) in fdct.transform(&samples).iter().enumerate() {
                for (x, value) in row.iter().enumerate() {
                    let expected = if (y, x) == (v, u) { 100.0 } else { 0.0 };
                    assert!((value - expected).abs() < 1e-3, "{v} {u}: {value} at {y} {x}");
                }
            }
        }
    }
}
