//! The container (RFC 9649), the frame header and the modes of macroblocks (RFC 6386, sections 9, 10, 11 and 19).

use crate::{
    bool_encoder::BoolEncoder,
    coefficient_probs::{COEFFICIENT_UPDATE_PROBS, CoefficientProbs, DEFAULT_COEFFICIENT_PROBS},
    modes::{self, MacroblockMode},
    segments::SEGMENTS,
    tokens::probability_of,
};

/// The most bytes of the first partition: its length has 19 bits (RFC 6386, section 9.1).
pub(crate) const MAX_FIRST_PARTITION: usize = (1 << 19) - 1;

/// What a macroblock's header says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Macroblock {
    pub(crate) segment: u8,
    /// Whether it has no coefficients.
    pub(crate) skip: bool,
    /// `None` means sub-block modes.
    pub(crate) luma: Option<MacroblockMode>,
    pub(crate) subblocks: [u8; 16],
    pub(crate) chroma: MacroblockMode,
}

/// What the frame header says.
pub(crate) struct FrameHeader<'a> {
    /// In pixels.
    pub(crate) size: (u16, u16),
    /// Whether macroblocks have segments and the skip flag.
    pub(crate) has_segments: bool,
    pub(crate) has_skip_flags: bool,
    /// The quantizer index and the loop filter's level of each segment; the first are the frame's without segments.
    pub(crate) indices: [i32; SEGMENTS],
    pub(crate) filter_levels: [u32; SEGMENTS],
    pub(crate) sharpness: u32,
    /// Differences from luma's index: of chroma's DC and AC coefficients.
    pub(crate) chroma_delta: i32,
    pub(crate) probabilities: &'a CoefficientProbs,
    pub(crate) macroblocks: &'a [Macroblock],
    /// Macroblocks in a row.
    pub(crate) columns: usize,
}

impl FrameHeader<'_> {
    /// The first partition: the frame header and the headers of all macroblocks.
    pub(crate) fn first_partition(&self) -> Vec<u8> {
        let mut output = BoolEncoder::new();
        // Colour space and clamping (RFC 6386, section 9.2): the decoder clamps.
        output.put_literal(0, 2);
        let segment_probs = self.put_segmentation(&mut output);
        // The normal loop filter, without adjustments (sections 9.3 and 9.6).
        output.put_flag(false);
        output.put_literal(self.filter_levels[0], 6);
        output.put_literal(self.sharpness, 3);
        output.put_flag(false);
        // One partition of tokens (section 9.5).
        output.put_literal(0, 2);
        self.put_quantizer_indices(&mut output);
        // The probabilities are for this frame, which is the only one (section 9.11).
        output.put_flag(false);
        self.put_probability_updates(&mut output);
        output.put_flag(self.has_skip_flags);
        let mut skipped = [0, 0];
        for macroblock in self.macroblocks {
            skipped[usize::from(macroblock.skip)] += 1;
        }
        let skip_prob = probability_of(skipped);
        if self.has_skip_flags {
            output.put_literal(skip_prob.into(), 8);
        }
        let mut above = vec![[modes::B_DC_PRED; 4]; self.columns];
        for row in self.macroblocks.chunks_exact(self.columns) {
            let mut left = [modes::B_DC_PRED; 4];
            for (macroblock, above) in row.iter().zip(&mut above) {
                if self.has_segments {
                    modes::put_segment(&mut output, segment_probs, macroblock.segment);
                }
                if self.has_skip_flags {
                    output.put(macroblock.skip, skip_prob);
                }
                modes::put_luma_mode(&mut output, macroblock.luma);
                if let Some(mode) = macroblock.luma {
                    *above = [mode.subblock_mode(); 4];
                    left = *above;
                } else {
                    for (i, mode) in macroblock.subblocks.iter().enumerate() {
                        modes::put_subblock_mode(&mut output, above[i % 4], left[i / 4], *mode);
                        (above[i % 4], left[i / 4]) = (*mode, *mode);
                    }
                }
                modes::put_chroma_mode(&mut output, macroblock.chroma);
            }
        }
        output.finish()
    }

    /// RFC 6386, section 9.3. Returns the probabilities of the segment tree.
    fn put_segmentation(&self, output: &mut BoolEncoder) -> [u8; 3] {
        output.put_flag(self.has_segments);
        if !self.has_segments {
            return [255; 3];
        }
        let mut counts = [0; SEGMENTS];
        for macroblock in self.macroblocks {
            counts[usize::from(macroblock.segment)] += 1;
        }
        let probabilities = [
            probability_of([counts[0] + counts[1], counts[2] + counts[3]]),
            probability_of([counts[0], counts[1]]),
            probability_of([counts[2], counts[3]]),
        ];
        // Both the map and the values, which are absolute.
        output.put_literal(0b111, 3);
        for index in self.indices {
            output.put_optional_signed(index, 7);
        }
        for level in self.filter_levels {
            output.put_optional_signed(level.cast_signed(), 6);
        }
        for probability in probabilities {
            output.put_flag(probability != 255);
            if probability != 255 {
                output.put_literal(probability.into(), 8);
            }
        }
        probabilities
    }

    /// RFC 6386, section 9.6.
    fn put_quantizer_indices(&self, output: &mut BoolEncoder) {
        output.put_literal(self.indices[0].unsigned_abs(), 7);
        // Luma's DC, Y2's DC and AC, chroma's DC and AC.
        for delta in [0, 0, 0, self.chroma_delta, self.chroma_delta] {
            output.put_optional_signed(delta, 4);
        }
    }

    /// RFC 6386, section 13.4.
    fn put_probability_updates(&self, output: &mut BoolEncoder) {
        let [new, old, updates] = [self.probabilities, &DEFAULT_COEFFICIENT_PROBS, &COEFFICIENT_UPDATE_PROBS]
            .map(|table| table.as_flattened().as_flattened().as_flattened());
        for ((new, old), update) in new.iter().zip(old).zip(updates) {
            output.put(new != old, *update);
            if new != old {
                output.put_literal((*new).into(), 8);
            }
        }
    }
}

/// A file: the RIFF header, one `VP8 ` chunk (RFC 9649, section 2.5), and in it the frame (RFC 6386, section 9.1).
pub(crate) fn file((width, height): (u16, u16), first_partition: &[u8], tokens: &[u8]) -> Option<Vec<u8>> {
    let first_length = u32::try_from(first_partition.len()).ok()?;
    let chunk_length = u32::try_from(10 + first_partition.len() + tokens.len()).ok()?;
    let riff_length = chunk_length.checked_next_multiple_of(2)?.checked_add(12)?;
    let mut file = Vec::with_capacity(riff_length as usize + 8);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&riff_length.to_le_bytes());
    file.extend_from_slice(b"WEBPVP8 ");
    file.extend_from_slice(&chunk_length.to_le_bytes());
    // A key frame of version 0 that is shown; the length of the first partition from bit 5.
    let tag = (1 << 4) | (first_length << 5);
    file.extend_from_slice(&tag.to_le_bytes()[..3]);
    file.extend_from_slice(&[0x9D, 0x01, 0x2A]);
    file.extend_from_slice(&width.to_le_bytes());
    file.extend_from_slice(&height.to_le_bytes());
    file.extend_from_slice(first_partition);
    file.extend_from_slice(tokens);
    if !chunk_length.is_multiple_of(2) {
        file.push(0);
    }
    Some(file)
}
