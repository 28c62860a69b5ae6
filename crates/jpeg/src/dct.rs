//! What JPEG makes of blocks of eight by eight samples: waves, and the order in which it tells them.

use std::f64::consts::PI;

/// Where in a block of eight rows each frequency stands, from low to high ones (T.81, figure A.6).
pub(crate) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What a frequency counts in one of so many samples: orthonormal over eight (T.81, annex A.3.3), and as high over fewer.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // small whole numbers
pub(crate) fn dct_basis(frequency: usize, sample: usize, samples: usize) -> f32 {
    let height = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
    (height * (PI / (2 * samples) as f64 * (frequency * (2 * sample + 1)) as f64).cos()) as f32
}
