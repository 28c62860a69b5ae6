//! Huffman codes (T.81, annexes C and F.2.2), and tables of what the next bits say.

/// The next bits, from the highest on.
pub(super) type Window = u64;

/// Bits of which the symbol is looked up.
const LOOK: u32 = 9;

/// Bits of which all that they say is looked up.
const LOOK_FAR: u32 = 11;

/// What a code stands for: how many frequencies are zero, and how many bits the value of the next one has. Of a difference
/// of means, the bits alone.
#[derive(Clone, Copy, Default)]
pub(super) struct Symbol {
    /// Of its code. 0 where this is unknown.
    pub(super) bits: u8,
    /// Of its code and the value.
    pub(super) all_bits: u8,
    name: u8,
}

impl Symbol {
    pub(super) fn run(self) -> u8 {
        self.name >> 4
    }

    /// Bits of the value.
    pub(super) fn size(self) -> u32 {
        u32::from(self.name & 15)
    }

    /// All other frequencies of the block are zero.
    pub(super) fn is_end(self) -> bool {
        self.name == 0
    }
}

/// The symbols of a table.
pub(super) struct Code {
    /// By the next [`LOOK`] bits.
    short: Box<[Symbol; 1 << LOOK]>,
    /// By the length of a code in bits: the first number of 16 bits beyond the codes up to that length, ...
    ends: [u32; 17],
    /// ... and how many of these there are.
    counts: [u32; 17],
    names: Vec<u8>,
}

impl Code {
    /// Of how many codes there are of each length, and what they stand for. `None` if there are too many.
    pub(super) fn new(lengths: &[u8; 16], names: &[u8]) -> Option<Self> {
        let (mut ends, mut counts) = ([0; 17], [0; 17]);
        for (i, count) in lengths.iter().enumerate() {
            counts[i + 1] = counts[i] + u32::from(*count);
            ends[i + 1] = ends[i] + (u32::from(*count) << (15 - i));
        }
        if ends[16] > 1 << 16 || counts[16] as usize != names.len() {
            return None;
        }
        let mut code = Self { short: Box::new([Symbol::default(); 1 << LOOK]), ends, counts, names: names.to_vec() };
        for bits in 0..1 << LOOK {
            let symbol = code.search((bits as Window) << (64 - LOOK));
            code.short[bits] = symbol.filter(|symbol| u32::from(symbol.bits) <= LOOK).unwrap_or_default();
        }
        Some(code)
    }

    /// Whether differences of means may have it: before those, nothing is zero.
    pub(super) fn is_of_means(&self) -> bool {
        self.names.iter().all(|name| *name < 16)
    }

    /// The next symbol. `None` if there is no such code.
    #[inline(always)]
    pub(super) fn symbol(&self, window: Window) -> Option<Symbol> {
        let symbol = self.short[(window >> (64 - LOOK)) as usize];
        if symbol.bits > 0 { Some(symbol) } else { self.search(window) }
    }

    fn search(&self, window: Window) -> Option<Symbol> {
        let bits = (window >> 48) as u32;
        let length = (1..=16_u8).find(|length| bits < self.ends[usize::from(*length)])?;
        let shorter = usize::from(length - 1);
        let before = (bits - self.ends[shorter]) >> (16 - length);
        let name = *self.names.get((self.counts[shorter] + before) as usize)?;
        Some(Symbol { bits: length, all_bits: length + (name & 15), name })
    }
}

/// The value that the first so many bits tell, 15 at most (T.81, figure F.12).
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // they are few
pub(super) fn value(window: Window, size: u32) -> i16 {
    let bits = (window >> 1 >> (63 - size)) as i32;
    // Where the first bit is zero, the value is negative. Without a branch, which could not be foreseen.
    let negative = (!window.cast_signed() >> 63) as i32;
    (bits + (negative & (1 - (1 << size)))) as i16
}

/// A code of frequencies, and what it says of the next bits.
pub(super) struct Frequencies {
    pub(super) code: Code,
    pairs: Box<[Pair; 1 << LOOK_FAR]>,
    passed: Box<[Passed; 1 << LOOK_FAR]>,
}

/// Two values at most, told in order by the next bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Pair {
    pub(super) passed: Passed,
    /// How many frequencies after the last one they stand. A value that is missing is zero, and stands after the last.
    pub(super) places: [u8; 2],
    pub(super) values: [i16; 2],
}

/// What is passed over at once.
#[derive(Clone, Copy, Default)]
pub(super) struct Passed {
    /// 0 where nothing is known.
    pub(super) bits: u8,
    /// How many; and whether they are the last of the block that are not zero.
    frequencies: u8,
}

impl Passed {
    const LAST: u8 = 0x80;

    pub(super) fn frequencies(self) -> usize {
        usize::from(self.frequencies & !Self::LAST)
    }

    pub(super) fn are_last(self) -> bool {
        self.frequencies & Self::LAST != 0
    }
}

impl Frequencies {
    pub(super) fn new(code: Code) -> Self {
        let pairs = Box::new(std::array::from_fn(|bits| Pair::of(&code, (bits as Window) << (64 - LOOK_FAR))));
        let passed = Box::new(std::array::from_fn(|bits| Passed::of(&code, (bits as Window) << (64 - LOOK_FAR))));
        Self { code, pairs, passed }
    }

    #[inline(always)]
    pub(super) fn pair(&self, window: Window) -> Pair {
        self.pairs[(window >> (64 - LOOK_FAR)) as usize]
    }

    #[inline(always)]
    pub(super) fn passed(&self, window: Window) -> Passed {
        self.passed[(window >> (64 - LOOK_FAR)) as usize]
    }
}

/// The next symbol, if `left` bits are enough to tell it.
fn told(code: &Code, window: Window, left: u32) -> Option<Symbol> {
    code.symbol(window).filter(|symbol| u32::from(symbol.bits) <= left)
}

impl Pair {
    /// Of the first [`LOOK_FAR`] bits.
    fn of(code: &Code, window: Window) -> Self {
        let mut pair = Self::default();
        let mut found = 0;
        let Passed { bits, frequencies } = &mut pair.passed;
        while let Some(symbol) = told(code, window << *bits, LOOK_FAR - u32::from(*bits)) {
            if symbol.is_end() {
                *bits += symbol.bits;
                *frequencies |= Passed::LAST;
                break;
            }
            let all = *bits + symbol.all_bits;
            if found == 2 || u32::from(all) > LOOK_FAR {
                break;
            }
            pair.values[found] = value(window << (*bits + symbol.bits), symbol.size());
            pair.places[found] = *frequencies + symbol.run();
            *frequencies = pair.places[found] + 1;
            *bits = all;
            found += 1;
        }
        pair.places[found..].fill(*frequencies & !Passed::LAST);
        pair
    }
}

impl Passed {
    /// Of the first [`LOOK_FAR`] bits. The last value may go beyond them.
    fn of(code: &Code, window: Window) -> Self {
        let mut passed = Self::default();
        while let Some(left) = LOOK_FAR.checked_sub(passed.bits.into()) {
            let Some(symbol) = told(code, window << passed.bits, left) else { break };
            passed.bits += symbol.all_bits;
            if symbol.is_end() {
                passed.frequencies |= Self::LAST;
                break;
            }
            passed.frequencies += symbol.run() + 1;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_codes_than_there_are_is_no_code() {
        let lengths = |one: u8, two: u8| std::array::from_fn(|i| [one, two].get(i).copied().unwrap_or(0));
        assert!(Code::new(&lengths(1, 2), &[1, 2, 3]).is_some());
        assert!(Code::new(&lengths(1, 3), &[1, 2, 3, 4]).is_none());
        assert!(Code::new(&lengths(3, 0), &[1, 2, 3]).is_none());
        assert!(Code::new(&lengths(1, 1), &[1, 2, 3]).is_none(), "a name without a code");
    }

    #[test]
    fn values_have_their_signs() {
        let told = |bits: u64, size: u32| value(bits << (64 - size), size);
        assert_eq!(value(u64::MAX, 0), 0);
        assert_eq!([told(0, 1), told(1, 1)], [-1, 1]);
        assert_eq!([told(0, 3), told(3, 3), told(4, 3), told(7, 3)], [-7, -4, 4, 7]);
        assert_eq!([told(0, 15), told(0x7FFF, 15)], [-32_767, 32_767]);
    }

    #[test]
    fn pairs_end_with_the_block_and_with_what_is_looked_up() {
        // 0: a value of one bit. 10: the end. 11: a value of ten bits, after one that is zero.
        let mut lengths = [0; 16];
        lengths[..2].copy_from_slice(&[1, 2]);
        let frequencies = Frequencies::new(Code::new(&lengths, &[0x01, 0x00, 0x1A]).unwrap());
        let window = |bits: &str| Window::from_str_radix(bits, 2).unwrap() << (64 - bits.len());
        let two = frequencies.pair(window("010010"));
        assert_eq!((two.values, two.places), ([1, -1], [0, 1]));
        assert!(two.passed.bits == 6 && two.passed.frequencies() == 2 && two.passed.are_last());
        let one = frequencies.pair(window("0111111111111"));
        assert_eq!((one.values, one.places), ([1, 0], [0, 1]));
        assert!(one.passed.bits == 2 && one.passed.frequencies() == 1 && !one.passed.are_last());
        let long = frequencies.passed(window("0111111111111"));
        assert!(long.bits == 14 && long.frequencies() == 3 && !long.are_last());
    }
}
