//! Intra-prediction (RFC 6386, section 12).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use darkroom_raster::simd::lookup_48;

use crate::{
    modes::{MacroblockMode, SUBBLOCK_MODES},
    transform::{BlockLanes, LANES},
};

/// The reconstructed samples around a macroblock of a plane, before the loop filter. Outside of the frame, samples above are
/// 127 and samples to the left 129 (RFC 6386, section 12.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges<const SIZE: usize> {
    pub(crate) above: [u8; SIZE],
    pub(crate) left: [u8; SIZE],
    pub(crate) corner: u8,
    /// Whether they are in the frame; only `DC_PRED` distinguishes.
    pub(crate) has_above: bool,
    pub(crate) has_left: bool,
}

impl<const SIZE: usize> Edges<SIZE> {
    /// The value of `DC_PRED`: the mean of those edges that are in the frame.
    #[inline(always)]
    fn mean(&self) -> i16 {
        let sum = |edge: &[u8; SIZE]| edge.iter().map(|sample| u32::from(*sample)).sum::<u32>();
        let shift = SIZE.trailing_zeros();
        let mean = match (self.has_above, self.has_left) {
            (true, true) => (sum(&self.above) + sum(&self.left) + (1 << shift)) >> (shift + 1),
            (true, false) => (sum(&self.above) + (1 << (shift - 1))) >> shift,
            (false, true) => (sum(&self.left) + (1 << (shift - 1))) >> shift,
            (false, false) => 128,
        };
        i16::try_from(mean).unwrap_or(255)
    }
}

/// The edges of up to two planes in lanes, from which every mode's prediction follows: lanes are the blocks of 4 × 4 of the
/// planes, row by row.
pub(crate) struct EdgeLanes {
    /// By column within the block.
    above: [[i16; LANES]; 4],
    /// By row within the block.
    left: [[i16; LANES]; 4],
    corner: [i16; LANES],
    mean: [i16; LANES],
}

impl EdgeLanes {
    /// The 16 blocks of a macroblock's luma.
    #[inline(always)]
    pub(crate) fn luma(edges: &Edges<16>) -> Self {
        let mut lanes = Self {
            above: [[0; LANES]; 4],
            left: [[0; LANES]; 4],
            corner: [edges.corner.into(); LANES],
            mean: [edges.mean(); LANES],
        };
        for lane in 0..LANES {
            for i in 0..4 {
                lanes.above[i][lane] = edges.above[lane % 4 * 4 + i].into();
                lanes.left[i][lane] = edges.left[lane / 4 * 4 + i].into();
            }
        }
        lanes
    }

    /// The four blocks of Cb and the four of Cr, twice.
    #[inline(always)]
    pub(crate) fn chroma(planes: &[Edges<8>; 2]) -> Self {
        let mut lanes = Self { above: [[0; LANES]; 4], left: [[0; LANES]; 4], corner: [0; LANES], mean: [0; LANES] };
        let means = [planes[0].mean(), planes[1].mean()];
        for lane in 0..LANES {
            let plane = lane / 4 % 2;
            let edges = &planes[plane];
            for i in 0..4 {
                lanes.above[i][lane] = edges.above[lane % 2 * 4 + i].into();
                lanes.left[i][lane] = edges.left[lane / 2 % 2 * 4 + i].into();
            }
            lanes.corner[lane] = edges.corner.into();
            lanes.mean[lane] = means[plane];
        }
        lanes
    }

    /// Predicts all blocks (RFC 6386, sections 12.2 and 12.3).
    #[inline(always)]
    pub(crate) fn predict(&self, mode: MacroblockMode, prediction: &mut BlockLanes) {
        for row in 0..4 {
            for column in 0..4 {
                let target = &mut prediction[row * 4 + column];
                match mode {
                    MacroblockMode::Dc => *target = self.mean,
                    MacroblockMode::Vertical => *target = self.above[column],
                    MacroblockMode::Horizontal => *target = self.left[row],
                    MacroblockMode::TrueMotion => {
                        for lane in 0..LANES {
                            let sum = self.above[column][lane] + self.left[row][lane] - self.corner[lane];
                            target[lane] = sum.clamp(0, 255);
                        }
                    }
                }
            }
        }
    }
}

/// The edge of a sub-block (RFC 6386, section 12.3): the left column from below, the corner, and eight samples above.
pub(crate) type SubblockEdge = [u8; 13];

/// All values that any mode of a sub-block predicts: means of three neighbours on the edge at 0 to 12, of two at 13 to 24, the
/// mean of all at 25, the lowest sample to the left at 26, and `B_TM_PRED` from 32.
pub(crate) type Predictors = [u8; 64];

/// For each mode, the index of each position's value in [`Predictors`].
const MODE_INDICES: [[u8; 16]; SUBBLOCK_MODES] = [
    // B_DC_PRED
    [25; 16],
    // B_TM_PRED
    [32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47],
    // B_VE_PRED
    [4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7],
    // B_HE_PRED
    [2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 12, 12, 12, 12],
    // B_LD_PRED
    [5, 6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10, 8, 9, 10, 11],
    // B_RD_PRED
    [3, 4, 5, 6, 2, 3, 4, 5, 1, 2, 3, 4, 0, 1, 2, 3],
    // B_VR_PRED
    [17, 18, 19, 20, 3, 4, 5, 6, 2, 17, 18, 19, 1, 3, 4, 5],
    // B_VL_PRED
    [18, 19, 20, 21, 5, 6, 7, 8, 19, 20, 21, 9, 6, 7, 8, 10],
    // B_HD_PRED
    [16, 3, 4, 5, 15, 2, 16, 3, 14, 1, 15, 2, 13, 0, 14, 1],
    // B_HU_PRED
    [15, 1, 14, 0, 14, 0, 13, 12, 13, 12, 26, 26, 26, 26, 26, 26],
];

/// [`MODE_INDICES`] by position and mode; lanes without a mode repeat the first.
static LANE_INDICES: [[u8; LANES]; 16] = {
    let mut lanes = [[25; LANES]; 16];
    let mut mode = 0;
    while mode < SUBBLOCK_MODES {
        let mut position = 0;
        while position < 16 {
            lanes[position][mode] = MODE_INDICES[mode][position];
            position += 1;
        }
        mode += 1;
    }
    lanes
};

/// All predictors of a sub-block (RFC 6386, section 12.3).
#[inline(always)]
pub(crate) fn subblock_predictors(edge: &SubblockEdge) -> Predictors {
    let mut predictors = [0; 64];
    let at = |i: usize| u16::from(edge[i]);
    #[allow(clippy::cast_possible_truncation)] // Means of samples.
    let mean3 = |a: u16, b: u16, c: u16| ((a + 2 * b + c + 2) >> 2) as u8;
    for i in 0..11 {
        predictors[i] = mean3(at(i), at(i + 1), at(i + 2));
    }
    predictors[11] = mean3(at(11), at(12), at(12));
    predictors[12] = mean3(at(1), at(0), at(0));
    for i in 0..12 {
        #[allow(clippy::cast_possible_truncation)] // Means of samples.
        let mean2 = ((at(i) + at(i + 1) + 1) >> 1) as u8;
        predictors[13 + i] = mean2;
    }
    let sum = at(0) + at(1) + at(2) + at(3) + at(5) + at(6) + at(7) + at(8);
    #[allow(clippy::cast_possible_truncation)] // A mean of samples.
    let mean = ((sum + 4) >> 3) as u8;
    predictors[25] = mean;
    predictors[26] = edge[0];
    for row in 0..4 {
        for column in 0..4 {
            let value = i16::from(edge[3 - row]) + i16::from(edge[5 + column]) - i16::from(edge[4]);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
            let value = value.clamp(0, 255) as u8;
            predictors[32 + row * 4 + column] = value;
        }
    }
    predictors
}

/// The predictions of all modes: by position, modes in lanes.
#[inline(always)]
pub(crate) fn spread(predictors: &Predictors) -> [[u8; LANES]; 16] {
    let mut lanes = [[0; LANES]; 16];
    lookup_48(predictors, &LANE_INDICES, &mut lanes);
    lanes
}
