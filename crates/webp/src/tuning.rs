//! The encoder's constants that were found by measuring.

use darkroom_model::recipe::Effort;

/// How an effort decides.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    /// How many modes of a sub-block, those with the best estimates, are quantized and their bits counted.
    pub(crate) candidates: usize,
    /// Whether the chosen mode is quantized with the trellis.
    pub(crate) trellis: bool,
    /// Whether all candidates are.
    pub(crate) trellis_candidates: bool,
    /// Whether the mode of 16 × 16 is quantized even where sub-blocks win against its estimate.
    pub(crate) always_exact: bool,
    /// How often the picture is coded; each pass knows the probabilities of the one before.
    pub(crate) passes: u32,
    /// The quantization step in 256ths of the quality's, so that more effort makes smaller files at the same
    /// quality; the scores of the efforts differ by less than a point.
    pub(crate) step_scale: i32,
    /// The cost of a bit in squared errors, in units of a quarter of the squared step / 256.
    pub(crate) lambda: u32,
    /// The trellis' cost of a bit, in 256ths of `lambda`'s.
    pub(crate) trellis_lambda: u32,
    /// Sub-blocks are not tried where the macroblock as a whole costs less than so many bits.
    pub(crate) least_for_subblocks: u32,
    /// Sub-blocks are given up when they cost so many 256ths of the estimate for the macroblock as a whole.
    pub(crate) subblock_limit: u32,
    /// By how many 256ths the weight of an error falls with each step of frequency.
    pub(crate) slope: u32,
    pub(crate) chroma_slope: u32,
    /// 256: an error in chroma weighs as much as one in luma.
    pub(crate) chroma_weight: u32,
    /// Added before quantization by rounding, in 256ths of a step.
    pub(crate) rounding: u32,
    pub(crate) rounding_y2: u32,
    pub(crate) rounding_chroma: u32,
    /// The difference of chroma's quantizer index to luma's.
    pub(crate) chroma_delta: i32,
    /// How strongly segments differ.
    pub(crate) segment_strength: i32,
    /// The loop filter's level, in 256ths of the quantization step.
    pub(crate) filter: i32,
    pub(crate) sharpness: u32,
}

impl Tuning {
    pub(crate) fn new(effort: Effort) -> Self {
        let balanced = Self {
            candidates: 1,
            trellis: false,
            trellis_candidates: false,
            always_exact: false,
            passes: 1,
            step_scale: 262,
            lambda: 50,
            trellis_lambda: 160,
            least_for_subblocks: 60,
            subblock_limit: 272,
            slope: 46,
            chroma_slope: 28,
            chroma_weight: 320,
            rounding: 64,
            rounding_y2: 120,
            rounding_chroma: 96,
            chroma_delta: -4,
            segment_strength: 448,
            filter: 30,
            sharpness: 3,
        };
        match effort {
            Effort::Speed => Self { step_scale: 240, least_for_subblocks: 100, subblock_limit: 240, ..balanced },
            Effort::Balanced => balanced,
            Effort::Best => Self {
                candidates: 3,
                trellis: true,
                trellis_candidates: true,
                always_exact: true,
                passes: 2,
                step_scale: 276,
                least_for_subblocks: 30,
                ..balanced
            },
        }
    }
}
