//! Luma predicted by sub-blocks: `B_PRED` (RFC 6386, sections 8.1 and 12.3).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{
    costs::TokenCosts,
    modes::{ModeCosts, SUBBLOCK_MODES},
    prediction::{Edges, SubblockEdge, spread, subblock_predictors},
    quantization::{Coded, SegmentQuantizers},
    tokens::BlockType,
    transform::{LANES, fdct, idct},
    tuning::Tuning,
};

/// The row length of [`Luma4::samples`].
const STRIDE: usize = 32;
/// The place of a macroblock's first sample in [`Luma4::samples`].
const ORIGIN: usize = STRIDE + 8;

/// What a macroblock's sub-blocks are coded as.
pub(crate) struct Luma4 {
    pub(crate) modes: [u8; 16],
    pub(crate) blocks: [Coded; 16],
    pub(crate) rd_cost: i64,
    /// What the modes cost, in 256ths of a bit.
    pub(crate) mode_cost: u32,
    /// The reconstruction, with the edges around it.
    samples: [u8; STRIDE * 17],
}

/// What is known of the blocks around a macroblock: those above it and to the left.
pub(crate) struct Neighbours {
    pub(crate) above_modes: [u8; 4],
    pub(crate) left_modes: [u8; 4],
    /// Whether blocks have coefficients: 0 or 1.
    pub(crate) above_nonzero: [u8; 4],
    pub(crate) left_nonzero: [u8; 4],
}

/// What coding needs to know beside the samples.
pub(crate) struct Coder<'a> {
    pub(crate) segment: &'a SegmentQuantizers,
    pub(crate) costs: &'a [TokenCosts; 4],
    pub(crate) mode_costs: &'a ModeCosts,
    pub(crate) tuning: &'a Tuning,
}

impl Luma4 {
    /// Chooses modes and codes all sub-blocks; `None` as soon as this costs more than `limit`. `source` has the sub-blocks row by
    /// row; `above_right` the four samples that follow the edge above.
    #[inline(always)]
    pub(crate) fn encode(
        coder: &Coder<'_>,
        source: &[[i16; 16]; 16],
        edges: &Edges<16>,
        above_right: [u8; 4],
        mut around: Neighbours,
        limit: i64,
    ) -> Option<Self> {
        let mut luma = Self {
            modes: [0; 16],
            blocks: [Coded::default(); 16],
            rd_cost: coder.segment.rd_cost(0, coder.mode_costs.subblocks),
            mode_cost: coder.mode_costs.subblocks,
            samples: [0; STRIDE * 17],
        };
        luma.samples[ORIGIN - STRIDE - 1] = edges.corner;
        luma.samples[ORIGIN - STRIDE..][..16].copy_from_slice(&edges.above);
        for (row, left) in edges.left.iter().enumerate() {
            luma.samples[ORIGIN + row * STRIDE - 1] = *left;
        }
        // The right-most sub-blocks of lower rows take the samples above the macroblock, too.
        for row in 0..4 {
            luma.samples[ORIGIN + row * 4 * STRIDE - STRIDE + 16..][..4].copy_from_slice(&above_right);
        }
        for block in 0..16 {
            let (row, column) = (block / 4, block % 4);
            let context = usize::from(around.above_nonzero[column] + around.left_nonzero[row]);
            let mode_costs = &coder.mode_costs.subblock[usize::from(around.above_modes[column])]
                [usize::from(around.left_modes[row])];
            let mode = luma.encode_subblock(coder, &source[block], block, context, mode_costs);
            if luma.rd_cost > limit {
                return None;
            }
            let nonzero = u8::from(luma.blocks[block].end > 0);
            (around.above_nonzero[column], around.left_nonzero[row]) = (nonzero, nonzero);
            (around.above_modes[column], around.left_modes[row]) = (mode, mode);
        }
        Some(luma)
    }

    /// Codes one sub-block. Returns its mode.
    #[inline(always)]
    fn encode_subblock(
        &mut self,
        coder: &Coder<'_>,
        source: &[i16; 16],
        block: usize,
        context: usize,
        mode_costs: &[u16; SUBBLOCK_MODES],
    ) -> u8 {
        let origin = ORIGIN + block / 4 * 4 * STRIDE + block % 4 * 4;
        let predictions = spread(&subblock_predictors(&self.edge(origin)));
        let mut lanes = [[0_i16; LANES]; 16];
        for position in 0..16 {
            for lane in 0..LANES {
                lanes[position][lane] = source[position] - i16::from(predictions[position][lane]);
            }
        }
        fdct(&mut lanes);
        let quantizer = &coder.segment.luma;
        let costs = &coder.costs[BlockType::Luma as usize];
        let (distortion, rate, nonzero) = quantizer.estimate(&lanes, BlockType::Luma, &costs.estimate);
        let (begin, empty) = (costs.begin_cost(0, context), costs.end_cost(0, context));
        let mut estimates = [i64::MAX; SUBBLOCK_MODES];
        for mode in 0..SUBBLOCK_MODES {
            let start = if nonzero[mode] == 0 { empty } else { begin };
            let bits = u32::from(rate[mode]) * 16 + start + u32::from(mode_costs[mode]);
            estimates[mode] = coder.segment.rd_cost(distortion[mode].into(), bits);
        }
        let coefficients_of = |mode: usize| {
            let mut coefficients = [0; 16];
            for position in 0..16 {
                coefficients[position] = lanes[position][mode % LANES];
            }
            coefficients
        };
        let tuning = coder.tuning;
        let mut best = (0, Coded { rd_cost: i64::MAX, ..Coded::default() });
        let mut candidates = tuning.candidates;
        if candidates == 1 {
            best.0 = least(&estimates);
            if !tuning.trellis {
                let coefficients = coefficients_of(best.0);
                best.1 = quantizer.quantize(&coefficients, BlockType::Luma, context, costs, coder.segment);
            }
            candidates = 0;
        }
        for _ in 0..candidates {
            let mode = least(&estimates);
            estimates[mode] = i64::MAX;
            let coefficients = coefficients_of(mode);
            let mut coded = if tuning.trellis_candidates {
                quantizer.trellis(&coefficients, BlockType::Luma, context, costs, coder.segment)
            } else {
                quantizer.quantize(&coefficients, BlockType::Luma, context, costs, coder.segment)
            };
            coded.rd_cost += coder.segment.rd_cost(0, mode_costs[mode].into());
            if coded.rd_cost < best.1.rd_cost {
                best = (mode, coded);
            }
        }
        let (mode, mut coded) = best;
        if tuning.trellis && !tuning.trellis_candidates {
            coded = quantizer.trellis(&coefficients_of(mode), BlockType::Luma, context, costs, coder.segment);
        }
        self.rd_cost += coded.rd_cost;
        if !tuning.trellis_candidates || tuning.candidates == 1 {
            self.rd_cost += coder.segment.rd_cost(0, mode_costs[mode % SUBBLOCK_MODES].into());
        }
        self.mode_cost += u32::from(mode_costs[mode % SUBBLOCK_MODES]);
        self.reconstruct(origin, &predictions, mode, &quantizer.dequantize(&coded.levels));
        #[expect(clippy::cast_possible_truncation, reason = "less than 10")]
        let mode = mode as u8;
        self.blocks[block % 16] = coded;
        self.modes[block % 16] = mode;
        mode
    }

    /// The edge of the sub-block whose first sample is at `origin`.
    #[inline(always)]
    fn edge(&self, origin: usize) -> SubblockEdge {
        let mut edge = [0; 13];
        for row in 0..4 {
            edge[3 - row] = self.samples[origin + row * STRIDE - 1];
        }
        edge[4..].copy_from_slice(&self.samples[origin - STRIDE - 1..][..9]);
        edge
    }

    #[inline(always)]
    fn reconstruct(&mut self, origin: usize, predictions: &[[u8; LANES]; 16], mode: usize, coefficients: &[i32; 16]) {
        let residuals = idct(coefficients);
        for row in 0..4 {
            let target = &mut self.samples[origin + row * STRIDE..][..4];
            for (column, sample) in target.iter_mut().enumerate() {
                let position = row * 4 + column;
                let value = i32::from(predictions[position][mode % LANES]) + residuals[position];
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
                let value = value.clamp(0, 255) as u8;
                *sample = value;
            }
        }
    }

    /// A row of the reconstruction.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> [u8; 16] {
        let mut samples = [0; 16];
        samples.copy_from_slice(&self.samples[ORIGIN + row % 16 * STRIDE..][..16]);
        samples
    }
}

#[inline(always)]
fn least(estimates: &[i64; SUBBLOCK_MODES]) -> usize {
    let mut best = 0;
    for mode in 1..SUBBLOCK_MODES {
        if estimates[mode] < estimates[best] {
            best = mode;
        }
    }
    best
}
