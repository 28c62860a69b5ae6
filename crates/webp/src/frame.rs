//! A frame: macroblock by macroblock through prediction, transform, quantization and tokens.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use darkroom_raster::simd::SimdKernel;

use crate::{
    bool_encoder::BoolEncoder,
    coefficient_probs::{CoefficientProbs, DEFAULT_COEFFICIENT_PROBS},
    costs::TokenCosts,
    header::{FrameHeader, MAX_FIRST_PARTITION, Macroblock, file},
    header_budget::HeaderBudget,
    luma4::{Coder, Luma4, Neighbours},
    modes::{self, ModeCosts},
    planes::Planes,
    prediction::Edges,
    quantization::{SegmentQuantizers, ac_step},
    segments::{SEGMENTS, Segments},
    source::Source,
    tokens::{BlockType, TokenBuffer},
    tuning::Tuning,
    whole::{Chroma, Luma16, Luma16Estimate},
};

/// Larger pictures have neither segments nor skip flags, so that their modes fit into the first partition.
const MAX_WITH_FLAGS: usize = 1 << 18;

/// Encodes planes to the bytes of a file.
pub(crate) struct FrameEncoder<'a> {
    pub(crate) planes: &'a Planes,
    /// In pixels.
    pub(crate) size: (u16, u16),
    /// The quantization step in 256ths.
    pub(crate) step: i32,
    pub(crate) tuning: &'a Tuning,
    /// Receives the reconstruction before the loop filter.
    pub(crate) reconstruction: Option<&'a mut Planes>,
}

impl SimdKernel for FrameEncoder<'_> {
    /// `None` if the file would be larger than the format can say.
    type Output = Option<Vec<u8>>;

    #[inline(always)]
    fn run(mut self) -> Option<Vec<u8>> {
        let (columns, rows) = (self.planes.macroblock_columns, self.planes.macroblock_rows);
        let has_flags = columns * rows <= MAX_WITH_FLAGS;
        let tuning = self.tuning;
        let segments = Segments::new(self.planes, self.step * tuning.step_scale / 256, tuning, has_flags);
        let segment_quantizers = segments
            .indices
            .map(|index| SegmentQuantizers::new(index, (index + tuning.chroma_delta).clamp(0, 127), tuning));
        let mode_costs = ModeCosts::new();
        let mut tokens = TokenBuffer::new();
        let mut macroblocks = vec![Macroblock::default(); columns * rows];
        let mut probabilities = DEFAULT_COEFFICIENT_PROBS;
        for _ in 0..tuning.passes {
            tokens.clear();
            let mut pass = Pass {
                planes: self.planes,
                segments: &segments,
                quantizers: &segment_quantizers,
                mode_costs: &mode_costs,
                tuning,
                costs: TokenCosts::new(&probabilities),
                headers: HeaderBudget::new(columns * rows, has_flags),
                above: vec![Above::new(); columns + 1],
                reconstruction: self.reconstruction.as_deref_mut(),
            };
            pass.code(&mut macroblocks, &mut tokens);
            probabilities = tokens.probabilities(&DEFAULT_COEFFICIENT_PROBS);
        }
        self.assemble(&segments, &macroblocks, &tokens, &probabilities, has_flags)
    }
}

impl FrameEncoder<'_> {
    #[inline(always)]
    fn assemble(
        &self,
        segments: &Segments,
        macroblocks: &[Macroblock],
        tokens: &TokenBuffer,
        probabilities: &CoefficientProbs,
        has_flags: bool,
    ) -> Option<Vec<u8>> {
        let tuning = self.tuning;
        let filter_levels =
            segments.indices.map(|index| (i32::from(ac_step(index)) * tuning.filter / 256).clamp(0, 63).unsigned_abs());
        let header = FrameHeader {
            size: self.size,
            has_segments: !segments.map.is_empty(),
            has_skip_flags: has_flags && macroblocks.iter().any(|macroblock| macroblock.skip),
            indices: segments.indices,
            filter_levels,
            sharpness: tuning.sharpness,
            chroma_delta: tuning.chroma_delta,
            probabilities,
            macroblocks,
            columns: self.planes.macroblock_columns,
        };
        let first_partition = header.first_partition();
        if first_partition.len() > MAX_FIRST_PARTITION {
            return None;
        }
        let mut output = BoolEncoder::new();
        tokens.write(&mut output, probabilities);
        file(header.size, &first_partition, &output.finish())
    }
}

/// What is kept of the macroblock above.
#[derive(Clone, Copy)]
struct Above {
    luma: [u8; 16],
    chroma: [[u8; 8]; 2],
    modes: [u8; 4],
    /// Whether blocks have coefficients: luma's, chroma's, Y2's.
    nonzero: Nonzero,
}

/// Whether blocks on an edge of a macroblock have coefficients: 0 or 1.
#[derive(Clone, Copy, Default)]
struct Nonzero {
    luma: [u8; 4],
    chroma: [u8; 4],
    y2: u8,
}

impl Above {
    /// Above the frame.
    const fn new() -> Self {
        Self {
            luma: [127; 16],
            chroma: [[127; 8]; 2],
            modes: [modes::B_DC_PRED; 4],
            nonzero: Nonzero { luma: [0; 4], chroma: [0; 4], y2: 0 },
        }
    }
}

/// One run over all macroblocks.
struct Pass<'a> {
    planes: &'a Planes,
    segments: &'a Segments,
    quantizers: &'a [SegmentQuantizers; SEGMENTS],
    mode_costs: &'a ModeCosts,
    tuning: &'a Tuning,
    costs: [TokenCosts; 4],
    headers: HeaderBudget,
    /// By column, and one more.
    above: Vec<Above>,
    reconstruction: Option<&'a mut Planes>,
}

/// What is kept of the macroblock to the left, and the samples at the corner.
struct Left {
    luma: [u8; 16],
    chroma: [[u8; 8]; 2],
    corner: u8,
    chroma_corners: [u8; 2],
    modes: [u8; 4],
    nonzero: Nonzero,
}

impl Pass<'_> {
    #[inline(always)]
    fn code(&mut self, macroblocks: &mut [Macroblock], tokens: &mut TokenBuffer) {
        let columns = self.planes.macroblock_columns;
        // The probabilities follow the picture: after the first row, then eight times.
        let interval = (macroblocks.len() / 8).max(64);
        let mut next_update = columns.max(32);
        for (row, macroblocks) in macroblocks.chunks_exact_mut(columns).enumerate() {
            if row * columns >= next_update {
                self.costs = TokenCosts::new(&tokens.probabilities(&DEFAULT_COEFFICIENT_PROBS));
                next_update = row * columns + interval;
            }
            let corner = if row == 0 { 127 } else { 129 };
            let mut left = Left {
                luma: [129; 16],
                chroma: [[129; 8]; 2],
                corner,
                chroma_corners: [corner; 2],
                modes: [modes::B_DC_PRED; 4],
                nonzero: Nonzero::default(),
            };
            for (column, macroblock) in macroblocks.iter_mut().enumerate() {
                self.code_macroblock((column, row), &mut left, macroblock, tokens);
            }
        }
    }

    #[inline(always)]
    fn code_macroblock(
        &mut self,
        (column, row): (usize, usize),
        left: &mut Left,
        macroblock: &mut Macroblock,
        tokens: &mut TokenBuffer,
    ) {
        let columns = self.planes.macroblock_columns;
        let segment = self.segments.map.get(row * columns + column).map_or(0, |segment| segment % 4);
        let coder = Coder {
            segment: &self.quantizers[usize::from(segment)],
            costs: &self.costs,
            mode_costs: self.mode_costs,
            tuning: self.tuning,
        };
        let above = self.above[column];
        let edges =
            Edges { above: above.luma, left: left.luma, corner: left.corner, has_above: row > 0, has_left: column > 0 };
        let source = Source::new(self.planes, column, row);

        // Luma: one mode for the macroblock, or one for each sub-block.
        let y2_context = usize::from(above.nonzero.y2 + left.nonzero.y2);
        let estimate = Luma16Estimate::new(&coder, &source.luma, &edges, y2_context);
        let whole = || estimate.encode(&coder, y2_context, above.nonzero.luma, left.nonzero.luma);
        let mut luma16 = self.tuning.always_exact.then(whole);
        let header_limit = self.headers.limit();
        let around = Neighbours {
            above_modes: above.modes,
            left_modes: left.modes,
            above_nonzero: above.nonzero.luma,
            left_nonzero: left.nonzero.luma,
        };
        let above_right = if row == 0 || column + 1 == columns {
            [above.luma[15]; 4]
        } else {
            let next = &self.above[column + 1].luma;
            [next[0], next[1], next[2], next[3]]
        };
        // The estimate may be too high by a little; a macroblock whose sub-blocks cost more is never coded so.
        let limit = luma16
            .as_ref()
            .map_or((estimate.rd_cost * i64::from(self.tuning.subblock_limit)) >> 8, |luma| luma.rd_cost);
        let mut luma4 = None;
        if estimate.rd_cost > coder.segment.rd_cost(0, self.tuning.least_for_subblocks * 256) {
            luma4 = Luma4::encode(&coder, &source.subblocks, &edges, above_right, around, limit)
                .filter(|luma| i64::from(luma.mode_cost) <= header_limit);
        }
        if luma4.as_ref().is_none_or(|luma| luma.rd_cost > estimate.rd_cost) && luma16.is_none() {
            luma16 = Some(whole());
        }
        if let (Some(whole), Some(subblocks)) = (&luma16, &luma4) {
            if whole.rd_cost <= subblocks.rd_cost {
                luma4 = None;
            } else {
                luma16 = None;
            }
        }

        let chroma_edges = [0, 1].map(|plane| Edges {
            above: above.chroma[plane],
            left: left.chroma[plane],
            corner: left.chroma_corners[plane],
            has_above: row > 0,
            has_left: column > 0,
        });
        let chroma = Chroma::encode(&coder, &source.chroma, &chroma_edges, above.nonzero.chroma, left.nonzero.chroma);

        self.finish_macroblock(
            (column, row),
            left,
            macroblock,
            tokens,
            segment,
            luma16.as_ref(),
            luma4.as_ref(),
            &chroma,
        );
    }

    /// Appends the tokens, and keeps what the next macroblocks need.
    #[expect(clippy::too_many_arguments, reason = "the parts of a macroblock")]
    #[inline(always)]
    fn finish_macroblock(
        &mut self,
        (column, row): (usize, usize),
        left: &mut Left,
        macroblock: &mut Macroblock,
        tokens: &mut TokenBuffer,
        segment: u8,
        luma16: Option<&Luma16>,
        luma4: Option<&Luma4>,
        chroma: &Chroma,
    ) {
        let above = &mut self.above[column];
        *macroblock = Macroblock { segment, chroma: chroma.mode, ..Macroblock::default() };
        let mut samples = [0; 256];
        let blocks;
        let mut header_cost = self.mode_costs.chroma[chroma.mode as usize];
        if let Some(luma) = luma4 {
            macroblock.subblocks = luma.modes;
            above.modes.copy_from_slice(&luma.modes[12..]);
            for row in 0..4 {
                left.modes[row] = luma.modes[row * 4 + 3];
            }
            for row in 0..16 {
                samples[row * 16..][..16].copy_from_slice(&luma.row(row));
            }
            blocks = &luma.blocks;
            header_cost += luma.mode_cost;
        } else if let Some(luma) = luma16 {
            macroblock.luma = Some(luma.mode);
            above.modes = [luma.mode.subblock_mode(); 4];
            left.modes = above.modes;
            for (i, sample) in samples.iter_mut().enumerate() {
                let (y, x) = (i / 16, i % 16);
                *sample = luma.samples[y % 4 * 4 + x % 4][y / 4 * 4 + x / 4];
            }
            blocks = &luma.blocks;
            header_cost += self.mode_costs.luma[luma.mode as usize];
        } else {
            return;
        }
        self.headers.spend(header_cost);
        let y2 = luma16.map(|luma| &luma.y2);
        let is_coded = |end: usize| end > 0;
        macroblock.skip = !(y2.is_some_and(|y2| is_coded(y2.end))
            || blocks.iter().any(|block| is_coded(block.end))
            || chroma.blocks.iter().any(|block| is_coded(block.end)));

        // The order of RFC 6386, section 13: Y2, luma, Cb, Cr. A macroblock that is skipped has no tokens.
        if macroblock.skip {
            let y2_of = |nonzero: Nonzero| if y2.is_some() { 0 } else { nonzero.y2 };
            above.nonzero = Nonzero { y2: y2_of(above.nonzero), ..Nonzero::default() };
            left.nonzero = Nonzero { y2: y2_of(left.nonzero), ..Nonzero::default() };
        } else {
            if let Some(y2) = y2 {
                let context = usize::from(above.nonzero.y2 + left.nonzero.y2);
                tokens.put_block(BlockType::Y2, context, &y2.levels, y2.end);
                (above.nonzero.y2, left.nonzero.y2) = (u8::from(y2.end > 0), u8::from(y2.end > 0));
            }
            let block_type = if y2.is_some() { BlockType::LumaAfterY2 } else { BlockType::Luma };
            for (i, block) in blocks.iter().enumerate() {
                let (above, left) = (&mut above.nonzero.luma[i % 4], &mut left.nonzero.luma[i / 4]);
                tokens.put_block(block_type, usize::from(*above + *left), &block.levels, block.end);
                (*above, *left) = (u8::from(block.end > 0), u8::from(block.end > 0));
            }
            for (i, block) in chroma.blocks.iter().enumerate() {
                let plane = i / 4 * 2;
                let above = &mut above.nonzero.chroma[plane + i % 2];
                let left = &mut left.nonzero.chroma[plane + i / 2 % 2];
                tokens.put_block(BlockType::Chroma, usize::from(*above + *left), &block.levels, block.end);
                (*above, *left) = (u8::from(block.end > 0), u8::from(block.end > 0));
            }
        }

        left.corner = above.luma[15];
        above.luma.copy_from_slice(&samples[240..]);
        for row in 0..16 {
            left.luma[row] = samples[row * 16 + 15];
        }
        let sample =
            |plane: usize, y: usize, x: usize| chroma.samples[y % 4 * 4 + x % 4][plane * 4 + y / 4 * 2 + x / 4];
        for plane in 0..2 {
            left.chroma_corners[plane] = above.chroma[plane][7];
            for i in 0..8 {
                above.chroma[plane][i] = sample(plane, 7, i);
                left.chroma[plane][i] = sample(plane, i, 7);
            }
        }
        if let Some(planes) = self.reconstruction.as_deref_mut() {
            let stride = planes.macroblock_columns * 16;
            for y in 0..16 {
                let start = (row * 16 + y) * stride + column * 16;
                planes.luma[start..][..16].copy_from_slice(&samples[y * 16..][..16]);
            }
            for y in 0..8 {
                for x in 0..8 {
                    let at = (row * 8 + y) * stride / 2 + column * 8 + x;
                    planes.cb[at] = sample(0, y, x);
                    planes.cr[at] = sample(1, y, x);
                }
            }
        }
    }
}
