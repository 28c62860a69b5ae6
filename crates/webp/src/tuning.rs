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
    /// The cost of a bit in squared errors, in units of a quarter of the squared step / 256.
    pub(crate) lambda: u32,
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
            candidates: 2,
            trellis: true,
            trellis_candidates: false,
            always_exact: false,
            passes: 1,
            lambda: 92,
            slope: 28,
            chroma_slope: 28,
            chroma_weight: 256,
            rounding: 96,
            rounding_y2: 112,
            rounding_chroma: 104,
            chroma_delta: 0,
            segment_strength: 256,
            filter: 74,
            sharpness: 3,
        };
        let mut tuning = match effort {
            Effort::Speed => Self { candidates: 1, ..balanced },
            Effort::Balanced => balanced,
            Effort::Best => {
                Self { candidates: 10, trellis_candidates: true, always_exact: true, passes: 2, ..balanced }
            }
        };
        tuning.env();
        tuning
    }

    fn env(&mut self) {
        let Ok(text) = std::env::var("WEBP_TUNING") else { return };
        for part in text.split(',') {
            let Some((name, value)) = part.split_once('=') else { continue };
            let v: i32 = value.parse().unwrap_or(0);
            let u = v.unsigned_abs();
            match name {
                "candidates" => self.candidates = u as usize,
                "trellis" => self.trellis = v != 0,
                "tc" => self.trellis_candidates = v != 0,
                "exact" => self.always_exact = v != 0,
                "passes" => self.passes = u,
                "lambda" => self.lambda = u,
                "slope" => self.slope = u,
                "cslope" => self.chroma_slope = u,
                "cw" => self.chroma_weight = u,
                "r" => self.rounding = u,
                "ry2" => self.rounding_y2 = u,
                "rc" => self.rounding_chroma = u,
                "cd" => self.chroma_delta = v,
                "seg" => self.segment_strength = v,
                "filter" => self.filter = v,
                "sharp" => self.sharpness = u,
                _ => panic!("{name}"),
            }
        }
    }
}
