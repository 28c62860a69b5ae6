//! Coefficients as tokens (RFC 6386, section 13).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{
    bit_cost::bit_cost,
    bool_encoder::BoolEncoder,
    coefficient_probs::{COEFFICIENT_UPDATE_PROBS, CoefficientProbs},
};

/// Zigzag order to the position in the block, row by row (RFC 6386, section 13).
pub(crate) const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];
/// The band of a position in zigzag order (RFC 6386, section 13.3).
pub(crate) const BANDS: [u8; 16] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7];
/// The largest level that has a token.
pub(crate) const MAX_LEVEL: i32 = 2047;
/// The lowest level of the token `dct_cat6`.
pub(crate) const LARGE_LEVEL: u32 = 67;
/// The probabilities of the extra bits of `dct_cat1` to `dct_cat6` (RFC 6386, section 13.2).
pub(crate) const EXTRA_BIT_PROBS: [&[u8]; 6] = [
    &[159],
    &[165, 145],
    &[173, 148, 140],
    &[176, 155, 140, 135],
    &[180, 157, 141, 134, 130],
    &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129],
];

/// What a block contains (RFC 6386, section 13.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockType {
    /// Luma without its DC coefficient, which is in the macroblock's Y2 block.
    LumaAfterY2 = 0,
    /// The DC coefficients of a macroblock's luma.
    Y2 = 1,
    Chroma = 2,
    Luma = 3,
}

impl BlockType {
    /// The first position in zigzag order that is coded.
    #[inline(always)]
    pub(crate) const fn first(self) -> usize {
        match self {
            Self::LumaAfterY2 => 1,
            Self::Y2 | Self::Chroma | Self::Luma => 0,
        }
    }
}

/// The category of a level above 4, 0 for `dct_cat1`, and its extra bits.
pub(crate) const fn extra_bits(level: u32) -> (usize, u32) {
    match level {
        0..=6 => (0, level.saturating_sub(5)),
        7..=10 => (1, level - 7),
        11..=18 => (2, level - 11),
        19..=34 => (3, level - 19),
        35..=66 => (4, level - 35),
        _ => (5, level - LARGE_LEVEL),
    }
}

/// Probabilities that may be updated: those of the tokens' trees.
const ADAPTIVE: u16 = 4 * 8 * 3 * 11;
/// Set where a boolean is true.
const TRUE: u16 = 1 << 15;

/// The booleans of all tokens, which are coded when their probabilities are known: an index of the probability each, and
/// [`TRUE`]. Indices above [`ADAPTIVE`] are fixed probabilities.
pub(crate) struct TokenBuffer {
    booleans: Vec<u16>,
    /// How often each boolean has each value, up to `counted` booleans.
    counts: Vec<[u32; 2]>,
    counted: usize,
}

impl TokenBuffer {
    pub(crate) fn new() -> Self {
        Self { booleans: Vec::new(), counts: vec![[0; 2]; ADAPTIVE.into()], counted: 0 }
    }

    /// Appends a block of levels in zigzag order, of which those from `end` on are zero.
    #[inline(always)]
    pub(crate) fn put_block(&mut self, block_type: BlockType, mut context: usize, levels: &[i16; 16], end: usize) {
        let first = block_type.first();
        let node = |position: usize, context: usize| -> u16 {
            let band = u16::from(BANDS[position]);
            #[expect(clippy::cast_possible_truncation, reason = "at most 2")]
            let context = context as u16;
            ((block_type as u16 * 8 + band) * 3 + context) * 11
        };
        if end <= first {
            self.booleans.push(node(first, context));
            return;
        }
        self.booleans.push(node(first, context) | TRUE);
        for (position, level) in levels.iter().enumerate().take(end).skip(first) {
            let base = node(position, context);
            let magnitude = u32::from(level.unsigned_abs());
            if magnitude == 0 {
                self.booleans.push(base + 1);
                context = 0;
                continue;
            }
            self.booleans.push((base + 1) | TRUE);
            if magnitude == 1 {
                self.booleans.push(base + 2);
                context = 1;
            } else {
                self.put_large(base, magnitude);
                context = 2;
            }
            self.put_fixed(*level < 0, 128);
            // Whether the block ends here.
            if position < 15 {
                let more = if position + 1 < end { TRUE } else { 0 };
                self.booleans.push(node(position + 1, context) | more);
            }
        }
    }

    /// Appends the token of a level above 1.
    #[inline(always)]
    fn put_large(&mut self, base: u16, magnitude: u32) {
        let mut put = |node: u16, value: bool| self.booleans.push((base + node) | if value { TRUE } else { 0 });
        put(2, true);
        put(3, magnitude > 4);
        if magnitude <= 4 {
            put(4, magnitude > 2);
            if magnitude > 2 {
                put(5, magnitude == 4);
            }
            return;
        }
        let (category, bits) = extra_bits(magnitude);
        put(6, category > 1);
        match category {
            0 | 1 => put(7, category == 1),
            2 | 3 => {
                put(8, false);
                put(9, category == 3);
            }
            _ => {
                put(8, true);
                put(10, category == 5);
            }
        }
        let probabilities = EXTRA_BIT_PROBS[category];
        for (shift, probability) in (0..probabilities.len()).rev().zip(probabilities) {
            self.put_fixed(bits >> shift & 1 == 1, *probability);
        }
    }

    #[inline(always)]
    fn put_fixed(&mut self, value: bool, probability: u8) {
        self.booleans.push((ADAPTIVE + u16::from(probability)) | if value { TRUE } else { 0 });
    }

    /// The best probabilities for the tokens so far, and whether each is worth an update of `initial`.
    pub(crate) fn probabilities(&mut self, initial: &CoefficientProbs) -> CoefficientProbs {
        for boolean in &self.booleans[self.counted..] {
            if let Some(counts) = self.counts.get_mut(usize::from(boolean & !TRUE)) {
                counts[usize::from(boolean >> 15)] += 1;
            }
        }
        self.counted = self.booleans.len();
        let mut result = *initial;
        let probabilities = result.as_flattened_mut().as_flattened_mut().as_flattened_mut();
        let updates = COEFFICIENT_UPDATE_PROBS.as_flattened().as_flattened().as_flattened();
        for ((probability, update), counts) in probabilities.iter_mut().zip(updates).zip(&self.counts) {
            let better = probability_of(*counts);
            let cost = |probability| {
                u64::from(counts[0]) * u64::from(bit_cost(false, probability))
                    + u64::from(counts[1]) * u64::from(bit_cost(true, probability))
            };
            let keep = cost(*probability) + u64::from(bit_cost(false, *update));
            if cost(better) + u64::from(bit_cost(true, *update)) + 8 * 256 < keep {
                *probability = better;
            }
        }
        result
    }

    /// Codes all booleans.
    #[inline(always)]
    pub(crate) fn write(&self, output: &mut BoolEncoder, probabilities: &CoefficientProbs) {
        let mut table = [0; 2048];
        let adaptive = probabilities.as_flattened().as_flattened().as_flattened();
        table[..adaptive.len()].copy_from_slice(adaptive);
        for (entry, fixed) in table[adaptive.len()..].iter_mut().zip(0..=255) {
            *entry = fixed;
        }
        for boolean in &self.booleans {
            output.put(boolean & TRUE != 0, table[usize::from(boolean & 2047)]);
        }
    }

    /// Forgets all tokens.
    pub(crate) fn clear(&mut self) {
        self.booleans.clear();
        self.counts.fill([0; 2]);
        self.counted = 0;
    }
}

/// The probability of a false boolean, in 256ths: 1 to 255.
pub(crate) fn probability_of([zeros, ones]: [u32; 2]) -> u8 {
    let (zeros, all) = (u64::from(zeros), u64::from(zeros) + u64::from(ones));
    let probability = (zeros * 256 + all / 2).checked_div(all).unwrap_or(255);
    u8::try_from(probability).unwrap_or(255).max(1)
}
