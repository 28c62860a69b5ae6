//! Huffman codes, as short as JPEG allows.

/// A code for each symbol of 8 bits that occurs.
pub(super) struct Codes {
    /// For each symbol its code, and how many bits that has.
    pub(super) of: [(u16, u8); 256],
    /// How many codes there are of each length, from one bit on.
    counts: [u8; LONGEST],
    /// All symbols, by the length of their codes.
    symbols: Vec<u8>,
}

/// No code has more bits (T.81, annex C).
const LONGEST: usize = 16;

impl Codes {
    /// Codes for symbols that occur so often.
    pub(super) fn new(occur: &[u32; 256]) -> Self {
        let mut symbols: Vec<(u64, u8)> = (0..=255)
            .zip(occur)
            .filter(|(_, times)| **times > 0)
            .map(|(symbol, times)| (u64::from(*times), symbol))
            .collect();
        symbols.sort_unstable();
        // The code of only ones is reserved (annex C): for one that never occurs, and so has the longest.
        let weights: Vec<u64> = std::iter::once(0).chain(symbols.iter().map(|(times, _)| *times)).collect();
        let mut codes = Self { of: [(0, 0); 256], counts: [0; LONGEST], symbols: Vec::new() };
        let (mut code, mut last) = (0_u16, 0);
        // Shorter codes are smaller numbers.
        for (length, (_, symbol)) in lengths(&weights).into_iter().skip(1).zip(symbols).rev() {
            code <<= length - last;
            codes.of[usize::from(symbol)] = (code, length);
            codes.counts[usize::from(length) - 1] += 1;
            codes.symbols.push(symbol);
            code += 1;
            last = length;
        }
        codes
    }

    /// How the codes are told, as table `number` (T.81, annex B.2.4.2).
    pub(super) fn table(&self, number: u8) -> Vec<u8> {
        [&[number][..], &self.counts, &self.symbols].concat()
    }
}

/// The lengths of the codes of symbols whose weights ascend: the package-merge algorithm (L. Larmore and D. Hirschberg, "A
/// fast algorithm for optimal length-limited Huffman codes", 1990). They descend.
fn lengths(weights: &[u64]) -> Vec<u8> {
    if weights.len() == 1 {
        return vec![1];
    }
    // On each level all symbols, and pairs of what is on the level before, by their weights.
    let mut level: Vec<u64> = Vec::new();
    let mut is_symbol: Vec<Vec<bool>> = Vec::new();
    for _ in 0..LONGEST {
        let pairs = level.chunks_exact(2).map(|pair| (pair[0] + pair[1], false));
        let mut items: Vec<(u64, bool)> = pairs.chain(weights.iter().map(|weight| (*weight, true))).collect();
        items.sort_by_key(|(weight, _)| *weight);
        level = items.iter().map(|(weight, _)| *weight).collect();
        is_symbol.push(items.into_iter().map(|(_, is_symbol)| is_symbol).collect());
    }
    // So many of the last level make a tree, and the pairs among them are made of twice as many of the level before. Each time
    // that a symbol is among them, its code is a bit longer.
    let mut lengths = vec![0; weights.len()];
    let mut taken = 2 * weights.len() - 2;
    for is_symbol in is_symbol.iter().rev() {
        let symbols = is_symbol[..taken].iter().filter(|is_symbol| **is_symbol).count();
        lengths[..symbols].iter_mut().for_each(|length| *length += 1);
        taken = 2 * (taken - symbols);
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of all sequences of 16 bits begin with a code.
    fn taken(codes: &Codes) -> u32 {
        codes.of.iter().filter(|(_, length)| *length > 0).map(|(_, length)| 1 << (16 - length)).sum()
    }

    #[test]
    fn codes_are_as_short_as_their_symbols_are_frequent() {
        let mut occur = [0; 256];
        for (symbol, times) in [(7, 8), (200, 4), (0, 2), (255, 1)] {
            occur[symbol] = times;
        }
        let codes = Codes::new(&occur);
        assert_eq!([7, 200, 0, 255].map(|symbol| codes.of[symbol]), [(0, 1), (0b10, 2), (0b110, 3), (0b1110, 4)]);
        assert_eq!(codes.table(0x11), [0x11, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 200, 0, 255]);
    }

    #[test]
    fn no_code_is_longer_than_sixteen_bits_and_none_is_only_ones() {
        // Fibonacci's numbers make the longest codes there are.
        let mut occur = [0; 256];
        let (mut a, mut b) = (1, 1);
        for times in &mut occur[..40] {
            *times = a;
            (a, b) = (b, a + b);
        }
        for occur in [occur, [1; 256], [u32::MAX; 256]] {
            let codes = Codes::new(&occur);
            assert!(codes.of.iter().zip(occur).all(|((_, length), times)| (times > 0) == (1..=16).contains(length)));
            assert!(taken(&codes) < 1 << 16, "the last is left");
            for (i, (code, length)) in codes.of.iter().enumerate().filter(|(_, (_, length))| *length > 0) {
                let begins = |(other, longer): &(u16, u8)| longer > length && other >> (longer - length) == *code;
                assert!(!codes.of.iter().any(begins), "{i}");
            }
        }
    }

    #[test]
    fn a_single_symbol_and_none_have_codes() {
        let mut occur = [0; 256];
        assert!(Codes::new(&occur).symbols.is_empty());
        occur[3] = 9;
        assert_eq!(Codes::new(&occur).of[3], (0, 1));
    }
}
