//! What is in a scan: symbols, most of them with bits behind them (T.81, annexes F.1.2 and G.1.2).

use super::{blocks::Component, huffman::Codes};

/// The symbols of a scan, in their order.
pub(super) struct Symbols {
    /// From the lowest bit on: the bits behind the symbol, 16; how many, 4; the symbol, 8; which of two tables codes it.
    packed: Vec<u32>,
    /// How often each symbol of each table occurs.
    occur: [[u32; 256]; 2],
}

impl Symbols {
    pub(super) fn new() -> Self {
        Self { packed: Vec::new(), occur: [[0; 256]; 2] }
    }

    /// Forgets the symbols of the scan before, and makes room for about so many.
    fn begin(&mut self, count: usize) {
        self.packed.clear();
        self.packed.reserve_exact(count);
        self.occur = [[0; 256]; 2];
    }

    /// A symbol, and the `count` bits behind it.
    #[inline(always)]
    fn put(&mut self, table: u32, symbol: u32, bits: u32, count: u32) {
        self.packed.push(table << 28 | symbol << 20 | count << 16 | bits);
        self.occur[table as usize % 2][symbol as usize % 256] += 1;
    }

    /// The best codes of each table.
    pub(super) fn codes(&self) -> [Codes; 2] {
        self.occur.each_ref().map(Codes::new)
    }

    /// Appends all of it to a file, and fills the last byte up with ones.
    #[inline(always)]
    pub(super) fn write(&self, codes: &[Codes; 2], file: &mut Vec<u8>) {
        // What is not written yet, from the highest bit on: fewer bits than a word. As many as a word come at most.
        let (mut held, mut count) = (0_u64, 0);
        for packed in &self.packed {
            let (code, length) = codes[(packed >> 28) as usize % 2].of[(packed >> 20) as usize % 256];
            let behind = packed >> 16 & 15;
            count += u32::from(length) + behind;
            held |= (u64::from(code) << behind | u64::from(packed & 0xFFFF)) << (u64::BITS - count);
            if count >= u32::BITS {
                append(file, &held.to_be_bytes()[..4]);
                held <<= u32::BITS;
                count -= u32::BITS;
            }
        }
        append(file, &(held | u64::MAX >> count).to_be_bytes()[..count.div_ceil(8) as usize]);
    }
}

/// Behind what looks like a marker, a zero says that it is none (T.81, annex B.1.1.5).
#[inline(always)]
fn append(file: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.contains(&0xFF) {
        file.extend(bytes.iter().flat_map(|byte| [*byte, 0].into_iter().take(if *byte == 0xFF { 2 } else { 1 })));
    } else {
        file.extend_from_slice(bytes);
    }
}

/// How many bits a value takes, and which: of a negative one those of the value below it, so that the first is zero.
#[inline(always)]
fn bits(value: i32) -> (u32, u32) {
    let count = u32::BITS - value.unsigned_abs().leading_zeros();
    let bits = if value < 0 { value - 1 } else { value }.cast_unsigned();
    (count, bits & ((1 << count) - 1))
}

/// Takes the means of all blocks: unit by unit, as differences from the one before.
#[inline(always)]
pub(super) fn means(components: &[Component], symbols: &mut Symbols) {
    let mut before = [0; 3];
    let Some(first) = components.first() else { return };
    symbols.begin(components.iter().map(|component| component.blocks.len()).sum());
    let units = first.stride / first.factor;
    for unit in 0..first.blocks.len() / (first.factor * first.factor) {
        for ((component, before), table) in components.iter().zip(&mut before).zip([0, 1, 1]) {
            let (factor, stride) = (component.factor, component.stride);
            let corner = unit / units * factor * stride + unit % units * factor;
            for y in 0..factor {
                for block in &component.blocks[corner + y * stride..][..factor] {
                    let mean = i32::from(block.levels[0]);
                    let (count, bits) = bits(mean - *before);
                    symbols.put(table, count, bits, count);
                    *before = mean;
                }
            }
        }
    }
}

/// The most blocks that one symbol ends.
const MOST_ENDED: u32 = 0x7FFF;

/// Sixteen zeros.
const ZEROS: u32 = 0xF0;

/// Takes the frequencies `from` to `to` of all blocks.
#[inline(always)]
pub(super) fn band(component: &Component, from: u8, to: u8, symbols: &mut Symbols) {
    let (from, to) = (u32::from(from), u32::from(to));
    let inside = u64::MAX << from & u64::MAX >> (63 - to);
    let levels: usize = component.blocks.iter().map(|block| (block.nonzero & inside).count_ones() as usize).sum();
    symbols.begin(levels + component.blocks.len());
    let mut ended = 0;
    for row in component.blocks.chunks_exact(component.stride).take(component.height) {
        for block in &row[..component.width] {
            let mut left = block.nonzero & inside;
            if left != 0 {
                end(&mut ended, symbols);
            }
            let mut next = from;
            while left != 0 {
                let index = left.trailing_zeros();
                let mut zeros = index - next;
                while zeros > 15 {
                    symbols.put(0, ZEROS, 0, 0);
                    zeros -= 16;
                }
                let (count, bits) = bits(block.level(index).into());
                symbols.put(0, zeros << 4 | count, bits, count);
                next = index + 1;
                left &= left - 1;
            }
            ended += u32::from(next <= to);
            if ended == MOST_ENDED {
                end(&mut ended, symbols);
            }
        }
    }
    end(&mut ended, symbols);
}

/// So many blocks have nothing more in the band.
#[inline(always)]
fn end(ended: &mut u32, symbols: &mut Symbols) {
    if *ended > 0 {
        let count = ended.ilog2();
        symbols.put(0, count << 4, *ended - (1 << count), count);
        *ended = 0;
    }
}
