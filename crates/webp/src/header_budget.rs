//! The limit of the first partition (RFC 6386, section 9.1), shared out among macroblocks.

use crate::header::MAX_FIRST_PARTITION;

/// An upper bound of what a macroblock's header costs at least, in 256ths of a bit: `DC_PRED` for luma and chroma, and with
/// flags the segment and the skip flag.
const LEAST_HEADER: i64 = 896;
const LEAST_HEADER_WITH_FLAGS: i64 = LEAST_HEADER + 3 * 256;

/// What the header of macroblocks may cost, so that the first partition stays below its limit.
pub(crate) struct HeaderBudget {
    /// What is left beyond `least` for each macroblock, in 256ths of a bit.
    spare: i64,
    macroblocks: i64,
    least: i64,
}

impl HeaderBudget {
    pub(crate) fn new(macroblocks: usize, has_flags: bool) -> Self {
        let macroblocks = i64::try_from(macroblocks).unwrap_or(i64::MAX);
        let least = if has_flags { LEAST_HEADER_WITH_FLAGS } else { LEAST_HEADER };
        // A part is left for the frame header: updates of all probabilities take 1,200 bytes.
        let bits = 8 * i64::try_from(MAX_FIRST_PARTITION - 4096).unwrap_or(0);
        Self { spare: (bits * 256 - macroblocks * least).max(0), macroblocks, least }
    }

    /// The most that the modes of the next macroblock may cost: four times the mean of what is left.
    pub(crate) fn limit(&self) -> i64 {
        self.least + (self.spare / self.macroblocks.max(1) * 4).min(self.spare)
    }

    pub(crate) fn spend(&mut self, cost: u32) {
        self.spare -= (i64::from(cost) - self.least).max(0);
        self.macroblocks -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_modes_stay_below_the_limit() {
        // 16 sub-block modes of 11 bits each.
        const DEAREST: i64 = 176 * 256;
        for (macroblocks, has_flags) in [(1, true), (1 << 14, true), (1 << 18, true), (1 << 20, false)] {
            let mut budget = HeaderBudget::new(macroblocks, has_flags);
            let least = budget.least;
            let spent: i64 = (0..macroblocks)
                .map(|_| {
                    let limit = budget.limit();
                    let cost = if DEAREST <= limit { DEAREST } else { least };
                    budget.spend(u32::try_from(cost).unwrap());
                    cost
                })
                .sum();
            assert!(spent / 256 / 8 <= i64::try_from(MAX_FIRST_PARTITION).unwrap(), "{macroblocks}");
        }
    }
}
