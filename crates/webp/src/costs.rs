//! What tokens and blocks cost, in 256ths of a bit.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{
    bit_cost::{BIT_COSTS, bit_cost},
    coefficient_probs::CoefficientProbs,
    tokens::{BANDS, BlockType, EXTRA_BIT_PROBS, LARGE_LEVEL, ZIGZAG, extra_bits},
};

/// Levels with own entries; from here on all have the token `dct_cat6`.
pub(crate) const LEVELS: usize = LARGE_LEVEL as usize + 1;

/// The cost of tokens of one block type under the current probabilities.
pub(crate) struct TokenCosts {
    /// By band, context and level: the token, its extra bits and sign. With the boolean that says that the block does not end,
    /// but in context 0, which follows a zero, where there is none.
    pub(crate) level: [[[u16; LEVELS]; 3]; 8],
    /// By band and context: the end of the block.
    pub(crate) end: [[u16; 3]; 8],
    /// By band: that a block which begins in context 0 does not end at once.
    pub(crate) begin: [u16; 8],
    pub(crate) estimate: RateEstimate,
}

/// An estimate of the cost of a block from its levels alone, in 16ths of a bit, by position in the block, row by row.
pub(crate) struct RateEstimate {
    /// A zero before the last coefficient.
    pub(crate) zero: [u16; 16],
    /// A level of 1.
    pub(crate) one: [u16; 16],
    /// Each further step of the level.
    pub(crate) slope: [u16; 16],
    /// The end of the block after this position.
    pub(crate) end: [u16; 16],
}

impl TokenCosts {
    /// For every block type.
    pub(crate) fn new(probabilities: &CoefficientProbs) -> [Self; 4] {
        let extra = ExtraCosts::new();
        [0, 1, 2, 3].map(|block_type| Self::of_type(&probabilities[block_type], &extra))
    }

    fn of_type(probabilities: &[[[u8; 11]; 3]; 8], extra: &ExtraCosts) -> Self {
        let mut level = [[[0; LEVELS]; 3]; 8];
        let mut end = [[0; 3]; 8];
        let mut begin = [0; 8];
        for band in 0..8 {
            for context in 0..3 {
                let probs = &probabilities[band][context];
                let not_end = bit_cost(true, probs[0]);
                end[band][context] = small(bit_cost(false, probs[0]));
                if context == 0 {
                    begin[band] = small(not_end);
                }
                let base = if context == 0 { 0 } else { not_end };
                let groups = token_costs(probs);
                let costs = &mut level[band][context];
                costs[0] = small(base + bit_cost(false, probs[1]));
                for (cost, (group, extra)) in costs[1..].iter_mut().zip(extra.levels.iter()) {
                    *cost = small(base + groups[*group] + extra);
                }
            }
        }
        let estimate = RateEstimate::new(&level, &end);
        Self { level, end, begin, estimate }
    }

    /// The cost of a level at a position in zigzag order.
    #[inline(always)]
    pub(crate) fn cost(&self, position: usize, context: usize, level: u32) -> u32 {
        let costs = &self.level[usize::from(BANDS[position])][context];
        match costs.get(level as usize) {
            Some(cost) => (*cost).into(),
            None => u32::from(costs[LEVELS - 1]) + u32::from(LARGE_COSTS[(level as usize).min(2047)]),
        }
    }

    /// The cost of the end of the block before a position, which is at most 16.
    #[inline(always)]
    pub(crate) fn end_cost(&self, position: usize, context: usize) -> u32 {
        BANDS.get(position).map_or(0, |band| self.end[usize::from(*band)][context].into())
    }

    /// What the first token of a block costs in addition.
    #[inline(always)]
    pub(crate) fn begin_cost(&self, position: usize, context: usize) -> u32 {
        if context == 0 { self.begin[usize::from(BANDS[position])].into() } else { 0 }
    }
}

impl RateEstimate {
    fn new(level: &[[[u16; LEVELS]; 3]; 8], end: &[[u16; 3]; 8]) -> Self {
        let mut estimate = Self { zero: [0; 16], one: [0; 16], slope: [0; 16], end: [0; 16] };
        for (index, natural) in ZIGZAG.iter().enumerate() {
            let natural = usize::from(*natural);
            let band = usize::from(BANDS[index]);
            // The context is not known. After a level of 0, 1 and more: roughly as often as in photographs.
            let mean = |wanted: usize| {
                let costs = &level[band];
                (2 * u32::from(costs[0][wanted]) + u32::from(costs[1][wanted]) + u32::from(costs[2][wanted])) / 4
            };
            estimate.zero[natural] = small(mean(0) / 16);
            estimate.one[natural] = small(mean(1) / 16);
            estimate.slope[natural] = small(mean(4).saturating_sub(mean(1)) / 48);
            estimate.end[natural] = BANDS.get(index + 1).map_or(0, |band| {
                let end = &end[usize::from(*band)];
                (end[1] + end[2]) / 32
            });
        }
        estimate
    }
}

/// The cost of the tree's booleans below "not zero", by token: 1, 2, 3, 4, `dct_cat1` to `dct_cat6` (RFC 6386, section 13.2).
fn token_costs(probs: &[u8; 11]) -> [u32; 10] {
    let cost = |value: bool, node: usize| bit_cost(value, probs[node]);
    let not_zero = cost(true, 1);
    let more = not_zero + cost(true, 2);
    let small = more + cost(false, 3);
    let large = more + cost(true, 3);
    let low = large + cost(false, 6);
    let high = large + cost(true, 6);
    [
        not_zero + cost(false, 2),
        small + cost(false, 4),
        small + cost(true, 4) + cost(false, 5),
        small + cost(true, 4) + cost(true, 5),
        low + cost(false, 7),
        low + cost(true, 7),
        high + cost(false, 8) + cost(false, 9),
        high + cost(false, 8) + cost(true, 9),
        high + cost(true, 8) + cost(false, 10),
        high + cost(true, 8) + cost(true, 10),
    ]
}

/// For each level from 1: its token, and the cost of its extra bits and sign. Their probabilities are constants.
struct ExtraCosts {
    levels: [(usize, u32); LEVELS - 1],
}

impl ExtraCosts {
    fn new() -> Self {
        let mut levels = [(0, 0); LEVELS - 1];
        for (level, entry) in (1..).zip(&mut levels) {
            *entry = if level <= 4 {
                (level as usize - 1, 256)
            } else {
                let (category, bits) = extra_bits(level);
                (4 + category, 256 + extra_cost(category, bits))
            };
        }
        Self { levels }
    }
}

const fn extra_cost(category: usize, bits: u32) -> u32 {
    let probabilities = EXTRA_BIT_PROBS[category];
    let mut cost = 0;
    let mut index = 0;
    while index < probabilities.len() {
        let bit = bits >> (probabilities.len() - 1 - index) & 1;
        let probability = probabilities[index] as usize;
        cost += BIT_COSTS[if bit == 1 { 256 - probability } else { probability }] as u32;
        index += 1;
    }
    cost
}

/// For levels of the token `dct_cat6`: what their extra bits cost more than those of the lowest such level.
#[expect(clippy::cast_possible_truncation, reason = "a few bits")]
static LARGE_COSTS: [u16; 2048] = {
    let mut costs = [0; 2048];
    let lowest = extra_cost(5, 0);
    let mut level = LARGE_LEVEL;
    while level < 2048 {
        costs[level as usize] = extra_cost(5, level - LARGE_LEVEL).saturating_sub(lowest) as u16;
        level += 1;
    }
    costs
};

fn small(cost: u32) -> u16 {
    u16::try_from(cost).unwrap_or(u16::MAX)
}

/// The cost of a block of levels in zigzag order.
#[inline(always)]
pub(crate) fn block_cost(
    costs: &TokenCosts,
    block_type: BlockType,
    mut context: usize,
    levels: &[i16; 16],
    end: usize,
) -> u32 {
    let first = block_type.first();
    if end <= first {
        return costs.end_cost(first, context);
    }
    let mut cost = costs.begin_cost(first, context);
    for (position, level) in levels.iter().enumerate().take(end).skip(first) {
        let level = u32::from(level.unsigned_abs());
        cost += costs.cost(position, context, level);
        context = level.min(2) as usize;
    }
    cost + costs.end_cost(end, context)
}
