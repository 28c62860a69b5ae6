//! Quantization (RFC 6386, sections 9.6 and 14.1).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{
    costs::{LEVELS, RateEstimate, TokenCosts, block_cost},
    tokens::{BANDS, BlockType, MAX_LEVEL, ZIGZAG},
    transform::{BlockLanes, LANES},
    tuning::Tuning,
};

/// The largest quantizer index.
pub(crate) const MAX_INDEX: i32 = 127;

/// `dc_qlookup` (RFC 6386, section 14.1)
#[rustfmt::skip]
static DC_STEPS: [i16; 128] = [
      4,   5,   6,   7,   8,   9,  10,  10,  11,  12,  13,  14,  15,  16,  17,  17,
     18,  19,  20,  20,  21,  21,  22,  22,  23,  23,  24,  25,  25,  26,  27,  28,
     29,  30,  31,  32,  33,  34,  35,  36,  37,  37,  38,  39,  40,  41,  42,  43,
     44,  45,  46,  46,  47,  48,  49,  50,  51,  52,  53,  54,  55,  56,  57,  58,
     59,  60,  61,  62,  63,  64,  65,  66,  67,  68,  69,  70,  71,  72,  73,  74,
     75,  76,  76,  77,  78,  79,  80,  81,  82,  83,  84,  85,  86,  87,  88,  89,
     91,  93,  95,  96,  98, 100, 101, 102, 104, 106, 108, 110, 112, 114, 116, 118,
    122, 124, 126, 128, 130, 132, 134, 136, 138, 140, 143, 145, 148, 151, 154, 157,
];

/// `ac_qlookup` (RFC 6386, section 14.1)
#[rustfmt::skip]
static AC_STEPS: [i16; 128] = [
      4,   5,   6,   7,   8,   9,  10,  11,  12,  13,  14,  15,  16,  17,  18,  19,
     20,  21,  22,  23,  24,  25,  26,  27,  28,  29,  30,  31,  32,  33,  34,  35,
     36,  37,  38,  39,  40,  41,  42,  43,  44,  45,  46,  47,  48,  49,  50,  51,
     52,  53,  54,  55,  56,  57,  58,  60,  62,  64,  66,  68,  70,  72,  74,  76,
     78,  80,  82,  84,  86,  88,  90,  92,  94,  96,  98, 100, 102, 104, 106, 108,
    110, 112, 114, 116, 119, 122, 125, 128, 131, 134, 137, 140, 143, 146, 149, 152,
    155, 158, 161, 164, 167, 170, 173, 177, 181, 185, 189, 193, 197, 201, 205, 209,
    213, 217, 221, 225, 229, 234, 239, 245, 249, 254, 259, 264, 269, 274, 279, 284,
];

fn step(steps: &[i16; 128], index: i32) -> i16 {
    steps[usize::try_from(index.clamp(0, MAX_INDEX)).unwrap_or(0)]
}

/// The step of luma's AC coefficients at an index.
pub(crate) fn ac_step(index: i32) -> i16 {
    step(&AC_STEPS, index)
}

/// Quantizes one kind of block. Arrays are by position in the block, row by row.
pub(crate) struct Quantizer {
    pub(crate) steps: [i16; 16],
    /// 65,536 / step, rounded up.
    reciprocals: [u16; 16],
    /// Added before the division: less than half of a step, because small levels cost more bits than they are worth.
    rounding: [u16; 16],
    /// The weights of squared errors; 256 for the lowest frequency of luma.
    weights: [u16; 16],
}

/// All that depends on a segment.
pub(crate) struct SegmentQuantizers {
    pub(crate) luma: Quantizer,
    pub(crate) y2: Quantizer,
    pub(crate) chroma: Quantizer,
    /// The cost of a bit in units of weighted squared errors of coefficients.
    pub(crate) lambda: i64,
    /// The same for the trellis.
    pub(crate) trellis_lambda: i64,
}

impl SegmentQuantizers {
    pub(crate) fn new(index: i32, chroma_index: i32, tuning: &Tuning) -> Self {
        let [dc, ac] = [step(&DC_STEPS, index), step(&AC_STEPS, index)];
        let y2 = [dc * 2, (i32::from(ac) * 155 / 100).max(8).try_into().unwrap_or(i16::MAX)];
        let chroma = [step(&DC_STEPS, chroma_index).min(132), step(&AC_STEPS, chroma_index)];
        let slope = |scale: u32, slope: u32| {
            let mut weights = [0; 16];
            for (position, weight) in (0_u32..).zip(&mut weights) {
                let frequency = position / 4 + position % 4;
                *weight = u16::try_from(256_u32.saturating_sub(slope * frequency).max(16) * scale / 256).unwrap_or(256);
            }
            weights
        };
        let lambda = i64::from(tuning.lambda) * i64::from(ac) * i64::from(ac) / 4;
        Self {
            luma: Quantizer::new([dc, ac], tuning.rounding, slope(256, tuning.slope)),
            // Errors in a macroblock's DC coefficients are a quarter of those in its Y2 block.
            y2: Quantizer::new(y2, tuning.rounding_y2, slope(64, 0)),
            chroma: Quantizer::new(chroma, tuning.rounding_chroma, slope(tuning.chroma_weight, tuning.chroma_slope)),
            lambda,
            trellis_lambda: lambda * i64::from(tuning.trellis_lambda) / 256,
        }
    }

    /// The sum of weighted squared errors and the cost of 256ths of a bit.
    #[inline(always)]
    pub(crate) fn rd_cost(&self, distortion: i64, rate: u32) -> i64 {
        distortion + ((self.lambda * i64::from(rate)) >> 8)
    }
}

/// A quantized block and what it costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coded {
    /// Levels in zigzag order.
    pub(crate) levels: [i16; 16],
    /// The position after the last level that is not zero; 0 for an empty block.
    pub(crate) end: usize,
    /// Weighted squared error and weighted bits.
    pub(crate) rd_cost: i64,
}

impl Quantizer {
    fn new([dc, ac]: [i16; 2], rounding: u32, weights: [u16; 16]) -> Self {
        let mut quantizer = Self { steps: [ac; 16], reciprocals: [0; 16], rounding: [0; 16], weights };
        quantizer.steps[0] = dc;
        for position in 0..16 {
            let step = quantizer.steps[position].unsigned_abs();
            quantizer.reciprocals[position] = u16::try_from(65_535 / u32::from(step) + 1).unwrap_or(u16::MAX);
            // DC coefficients, which are visible in flat areas, are rounded nearly to the nearest.
            let share = if position == 0 { rounding.max(112) } else { rounding };
            quantizer.rounding[position] = u16::try_from(u32::from(step) * share / 256).unwrap_or(0);
        }
        quantizer
    }

    /// The level of a coefficient's magnitude.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // The high half of a product of 16 bits.
    fn level(&self, position: usize, magnitude: u16) -> u16 {
        ((u32::from(magnitude.wrapping_add(self.rounding[position])) * u32::from(self.reciprocals[position])) >> 16)
            as u16
    }

    /// Estimates of weighted squared error, and of bits in 16ths, of 16 blocks in lanes. The bits are without those of the
    /// block's beginning. The last result says which blocks are not empty.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // Errors are at most a step.
    pub(crate) fn estimate(
        &self,
        coefficients: &BlockLanes,
        block_type: BlockType,
        estimate: &RateEstimate,
    ) -> ([u32; LANES], [u16; LANES], [u16; LANES]) {
        let mut distortion = [0_u32; LANES];
        let mut rate = [0_u16; LANES];
        // All ones where a later coefficient is not zero.
        let mut alive = [0_u16; LANES];
        for index in (block_type.first()..16).rev() {
            let position = usize::from(ZIGZAG[index]);
            let (zero, one) = (estimate.zero[position], estimate.one[position]);
            let (slope, end) = (estimate.slope[position], estimate.end[position]);
            let step = self.steps[position].unsigned_abs();
            let weight = u32::from(self.weights[position]);
            for lane in 0..LANES {
                let magnitude = coefficients[position][lane].unsigned_abs();
                let level = self.level(position, magnitude);
                let error = magnitude.wrapping_sub(level.wrapping_mul(step)).cast_signed();
                distortion[lane] += (i32::from(error) * i32::from(error)).cast_unsigned() * weight;
                let nonzero = if level > 0 { u16::MAX } else { 0 };
                let steps = level.min(32).wrapping_sub(1);
                let if_nonzero = one.wrapping_add(steps.wrapping_mul(slope)).wrapping_add(end & !alive[lane]);
                rate[lane] = rate[lane].wrapping_add((nonzero & if_nonzero) | (!nonzero & alive[lane] & zero));
                alive[lane] |= nonzero;
            }
        }
        (distortion, rate, alive)
    }

    /// Quantizes by rounding.
    #[inline(always)]
    pub(crate) fn quantize(
        &self,
        coefficients: &[i16; 16],
        block_type: BlockType,
        context: usize,
        costs: &TokenCosts,
        segment: &SegmentQuantizers,
    ) -> Coded {
        let mut coded = Coded::default();
        let mut distortion = 0;
        for index in block_type.first()..16 {
            let position = usize::from(ZIGZAG[index]);
            let coefficient = coefficients[position];
            let magnitude = coefficient.unsigned_abs();
            let level = i32::from(self.level(position, magnitude)).min(MAX_LEVEL);
            let error = i64::from(magnitude) - i64::from(level) * i64::from(self.steps[position]);
            distortion += error * error * i64::from(self.weights[position]);
            if level != 0 {
                #[expect(clippy::cast_possible_truncation, reason = "at most 2,047")]
                let level = level as i16;
                coded.levels[index] = if coefficient < 0 { -level } else { level };
                coded.end = index + 1;
            }
        }
        let rate = block_cost(costs, block_type, context, &coded.levels, coded.end);
        coded.rd_cost = segment.rd_cost(distortion, rate);
        coded
    }

    /// Quantizes to the levels with the least sum of weighted squared errors and weighted bits.
    ///
    /// Each coefficient may become the nearest level, the one below, or, where the nearest is at most 2, zero. The best is found
    /// by dynamic programming over the contexts of the following token: after a zero, a one, and a larger level.
    #[inline(always)]
    pub(crate) fn trellis(
        &self,
        coefficients: &[i16; 16],
        block_type: BlockType,
        context: usize,
        costs: &TokenCosts,
        segment: &SegmentQuantizers,
    ) -> Coded {
        const UNREACHABLE: i64 = i64::MAX / 4;
        let lambda = segment.trellis_lambda;
        let weighted = |rate: u32| (lambda * i64::from(rate)) >> 8;
        let first = block_type.first();
        let mut magnitudes = [0_u16; 16];
        let mut highest = [0_u16; 16];
        let mut zeroed = 0_i64;
        for position in first..16 {
            let magnitude = coefficients[position].unsigned_abs();
            magnitudes[position] = magnitude;
            highest[position] = self.nearest(position, magnitude);
            zeroed += i64::from(u32::from(magnitude) * u32::from(magnitude)) * i64::from(self.weights[position]);
        }
        let mut last = 16;
        while last > first && highest[usize::from(ZIGZAG[last - 1])] == 0 {
            last -= 1;
        }
        let mut coded = Coded::default();
        let mut best = (zeroed + weighted(costs.end_cost(first, context)), 0, 0);
        // Costs by context.
        let mut path = [UNREACHABLE; 3];
        path[context] = zeroed + weighted(costs.begin_cost(first, context));
        // By position and context: the level, and the context before it.
        let mut steps = [[(0_u16, 0_u8); 3]; 16];
        for index in first..last {
            let position = usize::from(ZIGZAG[index]);
            let band = &costs.level[usize::from(BANDS[index])];
            let from = |context: usize, rate: u32| path[context] + weighted(rate);
            // The cheapest way to a level.
            let reach = |level: u16| {
                let [zero, one, more] = if usize::from(level) < LEVELS {
                    let level = usize::from(level);
                    [from(0, band[0][level].into()), from(1, band[1][level].into()), from(2, band[2][level].into())]
                } else {
                    [0, 1, 2].map(|context| from(context, costs.cost(index, context, level.into())))
                };
                let (cost, context) = if one < zero { (one, 1) } else { (zero, 0) };
                if more < cost { (more, 2) } else { (cost, context) }
            };
            let mut next = [UNREACHABLE; 3];
            let highest = highest[position];
            if highest <= 2 {
                let (cost, context) = reach(0);
                next[0] = cost;
                steps[index][0] = (0, context);
            }
            if highest > 0 {
                let magnitude = i64::from(magnitudes[position]);
                let weight = i64::from(self.weights[position]);
                for level in [highest, highest - 1] {
                    if level == 0 {
                        break;
                    }
                    let error = magnitude - i64::from(level) * i64::from(self.steps[position]);
                    let (cost, context) = reach(level);
                    let cost = cost + (error * error - magnitude * magnitude) * weight;
                    let target = usize::from(level.min(2));
                    if cost < next[target] {
                        next[target] = cost;
                        steps[index][target] = (level, context);
                    }
                }
                for target in 1..3 {
                    let cost = next[target] + weighted(costs.end_cost(index + 1, target));
                    if cost < best.0 {
                        best = (cost, index + 1, target);
                    }
                }
            }
            path = next;
        }
        let (rd_cost, end, mut state) = best;
        for index in (first..end).rev() {
            let (level, before) = steps[index][state];
            let level = level.cast_signed();
            coded.levels[index] = if coefficients[usize::from(ZIGZAG[index])] < 0 { -level } else { level };
            state = usize::from(before);
        }
        coded.end = end;
        coded.rd_cost = rd_cost;
        coded
    }

    /// The level nearest to a magnitude.
    #[inline(always)]
    fn nearest(&self, position: usize, magnitude: u16) -> u16 {
        let half = u32::from(self.steps[position].unsigned_abs() / 2);
        let level = ((u32::from(magnitude) + half) * u32::from(self.reciprocals[position])) >> 16;
        u16::try_from(level.min(MAX_LEVEL.unsigned_abs())).unwrap_or(0)
    }

    /// The coefficients of levels in zigzag order, by position.
    #[inline(always)]
    pub(crate) fn dequantize(&self, levels: &[i16; 16]) -> [i32; 16] {
        let mut coefficients = [0; 16];
        for index in 0..16 {
            let position = usize::from(ZIGZAG[index]);
            coefficients[position] = i32::from(levels[index]) * i32::from(self.steps[position]);
        }
        coefficients
    }
}
