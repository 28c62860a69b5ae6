//! The forward transform of blocks of eight by eight samples (T.81, annex A.3.3).

use std::array::from_fn;

use crate::dct::dct_basis;

/// Rows of eight.
pub(super) type Matrix = [[f32; 8]; 8];

/// The cosines.
pub(super) struct Transform {
    /// What sums of two samples as far from the middle count in the even frequencies, and differences in the odd ones.
    even: [[f32; 4]; 4],
    odd: [[f32; 4]; 4],
    /// What each sample counts in each frequency.
    waves: Matrix,
}

impl Transform {
    pub(super) fn new() -> Self {
        Self {
            even: from_fn(|frequency| from_fn(|sample| dct_basis(2 * frequency, sample, 8))),
            odd: from_fn(|frequency| from_fn(|sample| dct_basis(2 * frequency + 1, sample, 8))),
            waves: from_fn(|sample| from_fn(|frequency| dct_basis(frequency, sample, 8))),
        }
    }

    /// A block of samples as frequencies: rows by vertical, columns by horizontal frequency.
    #[inline(always)]
    pub(super) fn forward(&self, samples: &Matrix) -> Matrix {
        let sums: [[f32; 8]; 4] = from_fn(|row| from_fn(|x| samples[row][x] + samples[7 - row][x]));
        let differences: [[f32; 8]; 4] = from_fn(|row| from_fn(|x| samples[row][x] - samples[7 - row][x]));
        let mut columns = Matrix::default();
        for frequency in 0..4 {
            columns[2 * frequency] = weighted(&self.even[frequency], &sums);
            columns[2 * frequency + 1] = weighted(&self.odd[frequency], &differences);
        }
        let mut frequencies = Matrix::default();
        for (frequencies, row) in frequencies.iter_mut().zip(&columns) {
            *frequencies = weighted(row, &self.waves);
        }
        frequencies
    }
}

/// The sum of rows, each with its weight.
#[inline(always)]
fn weighted<const N: usize>(weights: &[f32; N], rows: &[[f32; 8]; N]) -> [f32; 8] {
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
    fn a_wave_is_one_frequency() {
        let transform = Transform::new();
        for (v, u) in [(0, 0), (0, 1), (3, 0), (7, 7), (4, 5)] {
            let samples = from_fn(|y| from_fn(|x| 100.0 * dct_basis(v, y, 8) * dct_basis(u, x, 8)));
            for (y, row) in transform.forward(&samples).iter().enumerate() {
                for (x, value) in row.iter().enumerate() {
                    let expected = if (y, x) == (v, u) { 100.0 } else { 0.0 };
                    assert!((value - expected).abs() < 1e-3, "{v} {u}: {value} at {y} {x}");
                }
            }
        }
    }
}
