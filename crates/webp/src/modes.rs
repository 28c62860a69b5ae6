//! Prediction modes and the trees that code them (RFC 6386, sections 8.1, 11.2 to 11.5).

use crate::{bit_cost::bit_cost, bool_encoder::BoolEncoder, subblock_mode_probs::SUBBLOCK_MODE_PROBS};

/// The prediction of a whole macroblock's luma, or of its chroma (RFC 6386, section 8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MacroblockMode {
    /// `DC_PRED`
    #[default]
    Dc,
    /// `V_PRED`
    Vertical,
    /// `H_PRED`
    Horizontal,
    /// `TM_PRED`
    TrueMotion,
}

impl MacroblockMode {
    pub(crate) const ALL: [Self; 4] = [Self::Dc, Self::Vertical, Self::Horizontal, Self::TrueMotion];

    /// The sub-block mode that neighbours take as context (RFC 6386, section 11.3).
    pub(crate) const fn subblock_mode(self) -> u8 {
        match self {
            Self::Dc => B_DC_PRED,
            Self::Vertical => B_VE_PRED,
            Self::Horizontal => B_HE_PRED,
            Self::TrueMotion => B_TM_PRED,
        }
    }
}

/// The number of sub-block modes.
pub(crate) const SUBBLOCK_MODES: usize = 10;
// The sub-block modes, in the order of RFC 6386, section 11.2; numbers, because they index tables.
pub(crate) const B_DC_PRED: u8 = 0;
pub(crate) const B_TM_PRED: u8 = 1;
pub(crate) const B_VE_PRED: u8 = 2;
pub(crate) const B_HE_PRED: u8 = 3;

/// The path from a tree's root to a leaf: pairs of an index of the probability, and the boolean.
#[derive(Clone, Copy)]
struct Path {
    steps: [(u8, bool); 9],
    length: usize,
}

/// A tree as arrays of RFC 6386, section 8.1: positive entries are indices of nodes, others negated leaves.
struct Tree<const LEAVES: usize> {
    paths: [Path; LEAVES],
}

impl<const LEAVES: usize> Tree<LEAVES> {
    const fn new(nodes: &[i8]) -> Self {
        let mut paths = [Path { steps: [(0, false); 9], length: 0 }; LEAVES];
        let mut leaf = 0;
        while leaf < LEAVES {
            // From the leaf up to the root, then in the opposite order.
            let mut steps = [(0, false); 9];
            let mut length = 0;
            #[expect(clippy::cast_possible_truncation, reason = "small")]
            let mut wanted = -(leaf as i8);
            loop {
                let mut entry = 0;
                while nodes[entry] != wanted {
                    entry += 1;
                }
                #[expect(clippy::cast_possible_truncation, reason = "small")]
                let probability = (entry / 2) as u8;
                steps[length] = (probability, entry % 2 == 1);
                length += 1;
                if entry < 2 {
                    break;
                }
                #[expect(clippy::cast_possible_truncation, reason = "small")]
                let node = (entry - entry % 2) as i8;
                wanted = node;
            }
            let mut step = 0;
            while step < length {
                paths[leaf].steps[step] = steps[length - 1 - step];
                step += 1;
            }
            paths[leaf].length = length;
            leaf += 1;
        }
        Self { paths }
    }

    fn path(&self, leaf: usize) -> &[(u8, bool)] {
        let path = &self.paths[leaf];
        &path.steps[..path.length]
    }

    fn put(&self, output: &mut BoolEncoder, probabilities: &[u8], leaf: usize) {
        for (node, value) in self.path(leaf) {
            output.put(*value, probabilities[usize::from(*node)]);
        }
    }

    /// In 256ths of a bit.
    fn cost(&self, probabilities: &[u8], leaf: usize) -> u32 {
        self.path(leaf).iter().map(|(node, value)| bit_cost(*value, probabilities[usize::from(*node)])).sum()
    }
}

/// `kf_ymode_tree`; the fifth leaf is `B_PRED` (RFC 6386, section 11.2).
static LUMA_TREE: Tree<5> = Tree::new(&[-B_PRED, 2, 4, 6, 0, -1, -2, -3]);
const LUMA_PROBS: [u8; 4] = [145, 156, 163, 128];
const B_PRED: i8 = 4;
/// `uv_mode_tree`
static CHROMA_TREE: Tree<4> = Tree::new(&[0, 2, -1, 4, -2, -3]);
const CHROMA_PROBS: [u8; 3] = [142, 114, 183];
/// `bmode_tree`
static SUBBLOCK_TREE: Tree<SUBBLOCK_MODES> =
    Tree::new(&[0, 2, -1, 4, -2, 6, 8, 12, -3, 10, -5, -6, -4, 14, -7, 16, -8, -9]);
/// `mb_segment_tree` (RFC 6386, section 10)
static SEGMENT_TREE: Tree<4> = Tree::new(&[2, 4, 0, -1, -2, -3]);

/// Writes the luma mode of a macroblock; `None` means `B_PRED`.
pub(crate) fn put_luma_mode(output: &mut BoolEncoder, mode: Option<MacroblockMode>) {
    LUMA_TREE.put(output, &LUMA_PROBS, mode.map_or(4, |mode| mode as usize));
}

/// Writes the chroma mode of a macroblock.
pub(crate) fn put_chroma_mode(output: &mut BoolEncoder, mode: MacroblockMode) {
    CHROMA_TREE.put(output, &CHROMA_PROBS, mode as usize);
}

/// Writes the mode of a sub-block, with the modes of the blocks above and to the left as context.
pub(crate) fn put_subblock_mode(output: &mut BoolEncoder, above: u8, left: u8, mode: u8) {
    SUBBLOCK_TREE.put(output, &SUBBLOCK_MODE_PROBS[usize::from(above)][usize::from(left)], mode.into());
}

/// Writes a macroblock's segment.
pub(crate) fn put_segment(output: &mut BoolEncoder, probabilities: [u8; 3], segment: u8) {
    SEGMENT_TREE.put(output, &probabilities, segment.into());
}

/// What the modes cost, in 256ths of a bit. All are fixed in key frames.
pub(crate) struct ModeCosts {
    pub(crate) luma: [u32; 4],
    pub(crate) subblocks: u32,
    pub(crate) chroma: [u32; 4],
    /// By the modes above and to the left.
    pub(crate) subblock: [[[u16; SUBBLOCK_MODES]; SUBBLOCK_MODES]; SUBBLOCK_MODES],
}

impl ModeCosts {
    pub(crate) fn new() -> Self {
        let mut subblock = [[[0; SUBBLOCK_MODES]; SUBBLOCK_MODES]; SUBBLOCK_MODES];
        for (costs, probabilities) in subblock.iter_mut().flatten().zip(SUBBLOCK_MODE_PROBS.iter().flatten()) {
            for (mode, cost) in costs.iter_mut().enumerate() {
                *cost = u16::try_from(SUBBLOCK_TREE.cost(probabilities, mode)).unwrap_or(u16::MAX);
            }
        }
        Self {
            luma: [0, 1, 2, 3].map(|mode| LUMA_TREE.cost(&LUMA_PROBS, mode)),
            subblocks: LUMA_TREE.cost(&LUMA_PROBS, 4),
            chroma: [0, 1, 2, 3].map(|mode| CHROMA_TREE.cost(&CHROMA_PROBS, mode)),
            subblock,
        }
    }
}
