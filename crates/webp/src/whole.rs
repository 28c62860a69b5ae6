//! Luma and chroma predicted by whole macroblocks (RFC 6386, sections 8.1, 12.2 and 12.3).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{
    luma4::Coder,
    modes::MacroblockMode,
    prediction::{EdgeLanes, Edges},
    quantization::Coded,
    tokens::BlockType,
    transform::{BlockLanes, LANES, fdct, forward_wht, idct_lanes, inverse_wht},
};

/// The best mode of luma by its estimate.
pub(crate) struct Luma16Estimate {
    mode: MacroblockMode,
    prediction: BlockLanes,
    coefficients: BlockLanes,
    /// Estimated.
    pub(crate) rd_cost: i64,
}

/// What a macroblock's luma is coded as, with a Y2 block.
pub(crate) struct Luma16 {
    pub(crate) mode: MacroblockMode,
    pub(crate) y2: Coded,
    pub(crate) blocks: [Coded; 16],
    pub(crate) rd_cost: i64,
    /// Reconstructed samples, blocks in lanes.
    pub(crate) samples: [[u8; LANES]; 16],
}

/// Residuals of a prediction as coefficients.
#[inline(always)]
fn transformed(source: &BlockLanes, prediction: &BlockLanes) -> BlockLanes {
    let mut lanes = *source;
    for position in 0..16 {
        for lane in 0..LANES {
            lanes[position][lane] -= prediction[position][lane];
        }
    }
    fdct(&mut lanes);
    lanes
}

impl Luma16Estimate {
    /// `source` has the blocks in lanes.
    #[inline(always)]
    pub(crate) fn new(coder: &Coder<'_>, source: &BlockLanes, edges: &Edges<16>, y2_context: usize) -> Self {
        let lanes = EdgeLanes::luma(edges);
        let mut best = Self {
            mode: MacroblockMode::Dc,
            prediction: [[0; LANES]; 16],
            coefficients: [[0; LANES]; 16],
            rd_cost: i64::MAX,
        };
        let costs = &coder.costs[BlockType::LumaAfterY2 as usize];
        // The context of a block's first token is that of empty neighbours where the block is empty, and of others otherwise.
        let (begin, empty) = (costs.begin_cost(1, 0) / 2, costs.end_cost(1, 0));
        for mode in MacroblockMode::ALL {
            let mut prediction = [[0; LANES]; 16];
            lanes.predict(mode, &mut prediction);
            let coefficients = transformed(source, &prediction);
            let (distortion, rate, nonzero) =
                coder.segment.luma.estimate(&coefficients, BlockType::LumaAfterY2, &costs.estimate);
            let mut bits = coder.mode_costs.luma[mode as usize];
            let mut error = 0;
            for lane in 0..LANES {
                error += i64::from(distortion[lane]);
                bits += u32::from(rate[lane]) * 16 + if nonzero[lane] == 0 { empty } else { begin };
            }
            let y2 = coder.segment.y2.quantize(
                &forward_wht(&coefficients[0]),
                BlockType::Y2,
                y2_context,
                &coder.costs[BlockType::Y2 as usize],
                coder.segment,
            );
            let rd_cost = y2.rd_cost + coder.segment.rd_cost(error, bits);
            if rd_cost < best.rd_cost {
                best = Self { mode, prediction, coefficients, rd_cost };
            }
        }
        best
    }

    /// Codes the macroblock in this mode.
    #[inline(always)]
    pub(crate) fn encode(
        &self,
        coder: &Coder<'_>,
        y2_context: usize,
        mut above_nonzero: [u8; 4],
        mut left_nonzero: [u8; 4],
    ) -> Luma16 {
        let segment = coder.segment;
        let y2_costs = &coder.costs[BlockType::Y2 as usize];
        let dc = forward_wht(&self.coefficients[0]);
        let y2 = if coder.tuning.trellis {
            segment.y2.trellis(&dc, BlockType::Y2, y2_context, y2_costs, segment)
        } else {
            segment.y2.quantize(&dc, BlockType::Y2, y2_context, y2_costs, segment)
        };
        let costs = &coder.costs[BlockType::LumaAfterY2 as usize];
        let mut blocks = [Coded::default(); 16];
        let mut rd_cost = y2.rd_cost + segment.rd_cost(0, coder.mode_costs.luma[self.mode as usize]);
        let mut residuals = [[0; LANES]; 16];
        for block in 0..16 {
            let (row, column) = (block / 4, block % 4);
            let context = usize::from(above_nonzero[column] + left_nonzero[row]);
            let coefficients = lane(&self.coefficients, block);
            let coded = if coder.tuning.trellis {
                segment.luma.trellis(&coefficients, BlockType::LumaAfterY2, context, costs, segment)
            } else {
                segment.luma.quantize(&coefficients, BlockType::LumaAfterY2, context, costs, segment)
            };
            rd_cost += coded.rd_cost;
            let nonzero = u8::from(coded.end > 0);
            (above_nonzero[column], left_nonzero[row]) = (nonzero, nonzero);
            if coded.end > 0 {
                set_lane(&mut residuals, block, &segment.luma.dequantize(&coded.levels));
            }
            blocks[block] = coded;
        }
        residuals[0] = inverse_wht(&segment.y2.dequantize(&y2.levels));
        let samples = reconstruct(&mut residuals, &self.prediction);
        Luma16 { mode: self.mode, y2, blocks, rd_cost, samples }
    }
}

/// What a macroblock's chroma is coded as: the blocks of Cb, then those of Cr.
pub(crate) struct Chroma {
    pub(crate) mode: MacroblockMode,
    pub(crate) blocks: [Coded; 8],
    /// Reconstructed samples, blocks in lanes; the upper half is not used.
    pub(crate) samples: [[u8; LANES]; 16],
}

impl Chroma {
    /// `source` has the four blocks of Cb and the four of Cr in lanes, twice. `above_nonzero` and `left_nonzero` are of Cb, then
    /// of Cr.
    #[inline(always)]
    pub(crate) fn encode(
        coder: &Coder<'_>,
        source: &BlockLanes,
        edges: &[Edges<8>; 2],
        mut above_nonzero: [u8; 4],
        mut left_nonzero: [u8; 4],
    ) -> Self {
        let segment = coder.segment;
        let lanes = EdgeLanes::chroma(edges);
        let costs = &coder.costs[BlockType::Chroma as usize];
        let (begin, empty) = (costs.begin_cost(0, 0) / 2, costs.end_cost(0, 0));
        let mut best = (MacroblockMode::Dc, i64::MAX, [[0; LANES]; 16], [[0; LANES]; 16], 0);
        for modes in MacroblockMode::ALL.chunks_exact(2) {
            // Two modes at a time: each has eight blocks.
            let mut prediction = [[0; LANES]; 16];
            let mut second = [[0; LANES]; 16];
            lanes.predict(modes[0], &mut prediction);
            lanes.predict(modes[1], &mut second);
            for position in 0..16 {
                for lane in LANES / 2..LANES {
                    prediction[position][lane] = second[position][lane];
                }
            }
            let coefficients = transformed(source, &prediction);
            let (distortion, rate, nonzero) =
                segment.chroma.estimate(&coefficients, BlockType::Chroma, &costs.estimate);
            for (half, mode) in modes.iter().enumerate() {
                let mut bits = coder.mode_costs.chroma[*mode as usize];
                let mut error = 0;
                for block in 0..8 {
                    let lane = half * 8 + block;
                    error += i64::from(distortion[lane]);
                    bits += u32::from(rate[lane]) * 16 + if nonzero[lane] == 0 { empty } else { begin };
                }
                let rd_cost = segment.rd_cost(error, bits);
                if rd_cost < best.1 {
                    best = (*mode, rd_cost, prediction, coefficients, half * 8);
                }
            }
        }
        let (mode, _, prediction, coefficients, offset) = best;
        let mut blocks = [Coded::default(); 8];
        let mut residuals = [[0; LANES]; 16];
        let mut shifted = [[0; LANES]; 16];
        for block in 0..8 {
            let (plane, row, column) = (block / 4, block / 2 % 2, block % 2);
            let (above, left) = (&mut above_nonzero[plane * 2 + column], &mut left_nonzero[plane * 2 + row]);
            let context = usize::from(*above + *left);
            let coefficients = lane(&coefficients, offset + block);
            let coded = segment.chroma.quantize(&coefficients, BlockType::Chroma, context, costs, segment);
            (*above, *left) = (u8::from(coded.end > 0), u8::from(coded.end > 0));
            if coded.end > 0 {
                set_lane(&mut residuals, block, &segment.chroma.dequantize(&coded.levels));
            }
            blocks[block] = coded;
        }
        for position in 0..16 {
            for block in 0..8 {
                shifted[position][block] = prediction[position][(offset + block) % LANES];
            }
        }
        let samples = reconstruct(&mut residuals, &shifted);
        Self { mode, blocks, samples }
    }
}

#[inline(always)]
fn lane(lanes: &BlockLanes, lane: usize) -> [i16; 16] {
    let mut block = [0; 16];
    for position in 0..16 {
        block[position] = lanes[position][lane % LANES];
    }
    block
}

#[inline(always)]
fn set_lane(lanes: &mut [[i32; LANES]; 16], lane: usize, block: &[i32; 16]) {
    for position in 0..16 {
        lanes[position][lane % LANES] = block[position];
    }
}

/// Adds the residuals, which are coefficients before, to the prediction (RFC 6386, section 14.5).
#[inline(always)]
fn reconstruct(residuals: &mut [[i32; LANES]; 16], prediction: &BlockLanes) -> [[u8; LANES]; 16] {
    idct_lanes(residuals);
    let mut samples = [[0; LANES]; 16];
    for position in 0..16 {
        for lane in 0..LANES {
            let value = residuals[position][lane] + i32::from(prediction[position][lane]);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
            let value = value.clamp(0, 255) as u8;
            samples[position][lane] = value;
        }
    }
    samples
}
