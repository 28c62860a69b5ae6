//! The transforms (RFC 6386, section 14), for blocks in lanes.
//!
//! Blocks are held as [position][lane]: a lane is a block, or a prediction of the same block. So plain loops over lanes become
//! vector code without shuffles.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

/// Blocks that are processed at once.
pub(crate) const LANES: usize = 16;
/// Samples or coefficients of 16 blocks, by position within the block, row by row.
pub(crate) type BlockLanes = [[i16; LANES]; 16];

/// The forward DCT of 16 blocks. Sums of squares of the coefficients are four times those of the samples.
///
/// The standard defines only the inverse. Residuals are between -255 and 255; all intermediate values fit into 16 bits.
#[inline(always)]
pub(crate) fn fdct(block: &mut BlockLanes) {
    for row in 0..4 {
        for lane in 0..LANES {
            let sample = |column: usize| block[row * 4 + column][lane];
            let outputs = butterfly(sample(0) << 3, sample(1) << 3, sample(2) << 3, sample(3) << 3);
            block[row * 4][lane] = outputs.0;
            block[row * 4 + 1][lane] = outputs.1;
            block[row * 4 + 2][lane] = outputs.2;
            block[row * 4 + 3][lane] = outputs.3;
        }
    }
    for column in 0..4 {
        for lane in 0..LANES {
            let sample = |row: usize| block[row * 4 + column][lane];
            let outputs = butterfly(sample(0), sample(1), sample(2), sample(3));
            block[column][lane] = outputs.0.wrapping_add(8) >> 4;
            block[4 + column][lane] = outputs.1.wrapping_add(8) >> 4;
            block[8 + column][lane] = outputs.2.wrapping_add(8) >> 4;
            block[12 + column][lane] = outputs.3.wrapping_add(8) >> 4;
        }
    }
}

/// A one-dimensional DCT of four samples.
#[inline(always)]
fn butterfly(s0: i16, s1: i16, s2: i16, s3: i16) -> (i16, i16, i16, i16) {
    let (a0, a3) = (s0.wrapping_add(s3), s0.wrapping_sub(s3));
    let (a1, a2) = (s1.wrapping_add(s2), s1.wrapping_sub(s2));
    (
        a0.wrapping_add(a1),
        times_cos(a3).wrapping_add(times_sin(a2)),
        a0.wrapping_sub(a1),
        times_sin(a3).wrapping_sub(times_cos(a2)),
    )
}

/// √2 · cos(π/8), as RFC 6386, section 14.3, has it for the inverse.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // The high half of a product of 16 bits.
fn times_cos(value: i16) -> i16 {
    value.wrapping_add(((i32::from(value) * 20_091) >> 16) as i16)
}

/// √2 · sin(π/8). The factor 35,468 does not fit into 16 bits; less 65,536 it does.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // The high half of a product of 16 bits.
fn times_sin(value: i16) -> i16 {
    value.wrapping_add(((i32::from(value) * (35_468 - 65_536)) >> 16) as i16)
}

/// The inverse DCT of one block (RFC 6386, section 14.3): residuals.
#[inline(always)]
pub(crate) fn idct(coefficients: &[i32; 16]) -> [i32; 16] {
    let mut columns = [0; 16];
    for i in 0..4 {
        let outputs =
            inverse_butterfly(coefficients[i], coefficients[4 + i], coefficients[8 + i], coefficients[12 + i]);
        columns[i] = outputs.0;
        columns[4 + i] = outputs.1;
        columns[8 + i] = outputs.2;
        columns[12 + i] = outputs.3;
    }
    let mut residuals = [0; 16];
    for i in 0..4 {
        let outputs = inverse_butterfly(columns[i * 4] + 4, columns[i * 4 + 1], columns[i * 4 + 2], columns[i * 4 + 3]);
        residuals[i * 4] = outputs.0 >> 3;
        residuals[i * 4 + 1] = outputs.1 >> 3;
        residuals[i * 4 + 2] = outputs.2 >> 3;
        residuals[i * 4 + 3] = outputs.3 >> 3;
    }
    residuals
}

/// The inverse DCT of 16 blocks in place: coefficients become residuals.
#[inline(always)]
pub(crate) fn idct_lanes(block: &mut [[i32; LANES]; 16]) {
    for i in 0..4 {
        for lane in 0..LANES {
            let outputs =
                inverse_butterfly(block[i][lane], block[4 + i][lane], block[8 + i][lane], block[12 + i][lane]);
            block[i][lane] = outputs.0;
            block[4 + i][lane] = outputs.1;
            block[8 + i][lane] = outputs.2;
            block[12 + i][lane] = outputs.3;
        }
    }
    for i in 0..4 {
        for lane in 0..LANES {
            let row = &*block;
            let outputs = inverse_butterfly(
                row[i * 4][lane] + 4,
                row[i * 4 + 1][lane],
                row[i * 4 + 2][lane],
                row[i * 4 + 3][lane],
            );
            block[i * 4][lane] = outputs.0 >> 3;
            block[i * 4 + 1][lane] = outputs.1 >> 3;
            block[i * 4 + 2][lane] = outputs.2 >> 3;
            block[i * 4 + 3][lane] = outputs.3 >> 3;
        }
    }
}

#[inline(always)]
fn inverse_butterfly(i0: i32, i1: i32, i2: i32, i3: i32) -> (i32, i32, i32, i32) {
    let times_cos = |value: i32| value + ((value * 20_091) >> 16);
    let times_sin = |value: i32| (value * 35_468) >> 16;
    let (a, b) = (i0 + i2, i0 - i2);
    let c = times_sin(i1) - times_cos(i3);
    let d = times_cos(i1) + times_sin(i3);
    (a + d, b + c, b - c, a - d)
}

/// The forward Walsh-Hadamard transform of the DC coefficients of 16 blocks. Sums of squares of the results are four times
/// those of the coefficients.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // At most 16 · 2,040 / 2.
pub(crate) fn forward_wht(dc: &[i16; 16]) -> [i16; 16] {
    let mut rows = [0_i32; 16];
    for i in 0..4 {
        let [s0, s1, s2, s3] = [dc[i * 4], dc[i * 4 + 1], dc[i * 4 + 2], dc[i * 4 + 3]].map(i32::from);
        let (a0, a1, a2, a3) = (s0 + s2, s1 + s3, s1 - s3, s0 - s2);
        rows[i * 4] = a0 + a1;
        rows[i * 4 + 1] = a3 + a2;
        rows[i * 4 + 2] = a3 - a2;
        rows[i * 4 + 3] = a0 - a1;
    }
    let mut result = [0; 16];
    for i in 0..4 {
        let (s0, s1, s2, s3) = (rows[i], rows[4 + i], rows[8 + i], rows[12 + i]);
        let (a0, a1, a2, a3) = (s0 + s2, s1 + s3, s1 - s3, s0 - s2);
        result[i] = ((a0 + a1) >> 1) as i16;
        result[4 + i] = ((a3 + a2) >> 1) as i16;
        result[8 + i] = ((a3 - a2) >> 1) as i16;
        result[12 + i] = ((a0 - a1) >> 1) as i16;
    }
    result
}

/// The inverse Walsh-Hadamard transform (RFC 6386, section 14.3): the DC coefficients of 16 blocks.
#[inline(always)]
pub(crate) fn inverse_wht(coefficients: &[i32; 16]) -> [i32; 16] {
    let mut columns = [0; 16];
    for i in 0..4 {
        let (s0, s1, s2, s3) = (coefficients[i], coefficients[4 + i], coefficients[8 + i], coefficients[12 + i]);
        let (a0, a1, a2, a3) = (s0 + s3, s1 + s2, s1 - s2, s0 - s3);
        columns[i] = a0 + a1;
        columns[4 + i] = a3 + a2;
        columns[8 + i] = a0 - a1;
        columns[12 + i] = a3 - a2;
    }
    let mut result = [0; 16];
    for i in 0..4 {
        let (s0, s1, s2, s3) = (columns[i * 4] + 3, columns[i * 4 + 1], columns[i * 4 + 2], columns[i * 4 + 3]);
        let (a0, a1, a2, a3) = (s0 + s3, s1 + s2, s1 - s2, s0 - s3);
        result[i * 4] = (a0 + a1) >> 3;
        result[i * 4 + 1] = (a3 + a2) >> 3;
        result[i * 4 + 2] = (a0 - a1) >> 3;
        result[i * 4 + 3] = (a3 - a2) >> 3;
    }
    result
}
