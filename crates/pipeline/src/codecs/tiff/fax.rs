//! Bi-level pictures: modified Huffman rows, ITU-T T.4 (Group 3) and T.6 (Group 4). 0 is white.

use fax::{
    BitReader,
    maps::{Mode, black, mode, white},
};

/// How rows are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Each by itself, from a new byte on (TIFF 6.0, section 10).
    Rows,
    /// After end-of-line codes (EOL).
    Group3 {
        /// A bit after each EOL says whether a row is coded as the difference to the previous one.
        two_dimensional: bool,
    },
    /// All as differences.
    Group4,
}

/// EOL is eleven zeros and a one.
const EOL_BITS: u8 = 12;

/// The positions in a row where the colour changes, in ascending order; a row begins with white.
type Changes = Vec<u32>;

/// Decodes to rows of bits. Rows after the end-of-block code are white. `None` where the data is corrupt, or ends too early.
pub(super) fn decode(coding: Coding, data: &[u8], (width, rows): (u32, u32)) -> Option<Vec<u8>> {
    let mut bits = Bits { data, position: 0 };
    let row_length = width.div_ceil(8) as usize;
    let mut samples = vec![0; row_length * rows as usize];
    let mut previous = Changes::new();
    for row in samples.chunks_exact_mut(row_length) {
        let changes = match coding {
            Coding::Rows => {
                bits.position = bits.position.next_multiple_of(8);
                one_dimensional(&mut bits, width)?
            }
            Coding::Group4 => match two_dimensional(&mut bits, &previous, width)? {
                Row::Changes(changes) => changes,
                Row::EndOfBlock => break,
            },
            Coding::Group3 { two_dimensional: has_tags } => {
                let found_eol = skip_eol(&mut bits)?;
                let is_one_dimensional = !(has_tags && found_eol) || bits.take()?;
                // Two EOLs follow each other at the end (RTC).
                if found_eol && bits.peek(EOL_BITS) == Some(1) {
                    break;
                }
                if is_one_dimensional {
                    one_dimensional(&mut bits, width)?
                } else {
                    match two_dimensional(&mut bits, &previous, width)? {
                        Row::Changes(changes) => changes,
                        Row::EndOfBlock => return None,
                    }
                }
            }
        };
        for black in changes.chunks(2) {
            fill(row, black[0], black.get(1).copied().unwrap_or(width));
        }
        previous = changes;
    }
    Some(samples)
}

/// Skips fill bits and an EOL, if there is one.
fn skip_eol(bits: &mut Bits<'_>) -> Option<bool> {
    // No code of a run begins with eleven zeros.
    if bits.peek(EOL_BITS - 1)? != 0 {
        return Some(false);
    }
    while !bits.take()? {}
    Some(true)
}

/// A row of run lengths.
fn one_dimensional(bits: &mut Bits<'_>, width: u32) -> Option<Changes> {
    let mut changes = Changes::new();
    let (mut position, mut is_black) = (0, false);
    loop {
        position += run(bits, is_black, width)?;
        if position >= width {
            return (position == width).then_some(changes);
        }
        changes.push(position);
        is_black = !is_black;
    }
}

/// The length of a run: make-up codes of 64 and more, and a terminating code.
fn run(bits: &mut Bits<'_>, is_black: bool, width: u32) -> Option<u32> {
    let mut length = 0;
    loop {
        let part = u32::from(if is_black { black::decode(bits) } else { white::decode(bits) }?);
        length += part;
        if part < 64 {
            return Some(length);
        }
        if length > width {
            return None;
        }
    }
}

enum Row {
    Changes(Changes),
    EndOfBlock,
}

/// A row as the difference to the previous one (T.4, section 4.2).
fn two_dimensional(bits: &mut Bits<'_>, previous: &[u32], width: u32) -> Option<Row> {
    let mut changes = Changes::new();
    // a0 is before the first pixel at first.
    let (mut a0, mut is_black) = (None::<u32>, false);
    let mut next = 0;
    loop {
        let position = a0.unwrap_or(0);
        // b1: the first change on the previous row to the right of a0, to the colour that a0 has not.
        while next > 0 && a0.is_none_or(|a0| previous[next - 1] > a0) {
            next -= 1;
        }
        while next < previous.len() && a0.is_some_and(|a0| previous[next] <= a0) {
            next += 1;
        }
        let first = next + usize::from((next % 2 == 1) != is_black);
        let change = |index: usize| previous.get(index).copied().unwrap_or(width);
        let (b1, b2) = (change(first), change(first + 1));
        let reached = match mode::decode(bits)? {
            Mode::Pass => b2,
            Mode::Horizontal => {
                let a1 = position + run(bits, is_black, width)?;
                let a2 = a1 + run(bits, !is_black, width)?;
                changes.extend([a1, a2].into_iter().filter(|change| *change < width));
                a2
            }
            Mode::Vertical(distance) => {
                let a1 = b1.checked_add_signed(distance.into()).filter(|a1| *a1 >= position)?;
                if a1 < width {
                    changes.push(a1);
                }
                is_black = !is_black;
                a1
            }
            Mode::EOF if a0.is_none() => return Some(Row::EndOfBlock),
            Mode::Extension | Mode::EOF => return None,
        };
        if reached >= width {
            return (reached == width).then_some(Row::Changes(changes));
        }
        a0 = Some(reached);
    }
}

/// Sets the bits of a row from `start` to `end`.
fn fill(row: &mut [u8], start: u32, end: u32) {
    let (start, end) = (start as usize, end as usize);
    for at in start / 8..end.div_ceil(8) {
        let after_start = 0xFF_u8 >> start.saturating_sub(8 * at).min(8).min(7);
        let before_end = !(0xFF_u8.checked_shr(u32::try_from(end - 8 * at).unwrap_or(8)).unwrap_or(0));
        if let Some(byte) = row.get_mut(at) {
            *byte |= after_start & before_end;
        }
    }
}

/// Bits from the most significant one of each byte on. Zeros follow the last byte.
struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self) -> Option<bool> {
        let bit = self.peek(1)?;
        self.position += 1;
        Some(bit == 1)
    }
}

impl BitReader for Bits<'_> {
    type Error = std::convert::Infallible;

    /// `None` past the last byte.
    fn peek(&self, bits: u8) -> Option<u16> {
        if bits > 16 || self.position >= 8 * self.data.len() {
            return None;
        }
        let byte = |i: usize| u32::from(self.data.get(self.position / 8 + i).copied().unwrap_or(0));
        let word = byte(0) << 24 | byte(1) << 16 | byte(2) << 8;
        let shifted = (word << (self.position % 8)).checked_shr(32 - u32::from(bits)).unwrap_or(0);
        u16::try_from(shifted).ok()
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.position += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        u8::try_from(self.position.next_multiple_of(8) - self.position).unwrap_or(0)
    }
}
