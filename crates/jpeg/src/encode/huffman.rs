//! Huffman tables with the shortest codes that JPEG permits (T.81, annex C and section K.2).

/// The longest Huffman code, in bits (T.81, annex C).
const MAX_CODE_LENGTH: usize = 16;

/// A Huffman table with a code for each symbol that occurs.
pub(crate) struct HuffmanTable {
    /// For each symbol its code, EHUFCO, and the length of that in bits, EHUFSI; a length of 0 where it has none.
    pub(crate) codes: [(u16, u8); 256],
    /// BITS: the number of codes of each length, from one bit on.
    bits: [u8; MAX_CODE_LENGTH],
    /// HUFFVAL: the symbols in order of their code lengths.
    values: Vec<u8>,
}

impl HuffmanTable {
    /// The optimal table for symbols with these frequencies.
    pub(crate) fn new(frequencies: &[u32; 256]) -> Self {
        let mut symbols: Vec<(u64, u8)> = (0..=255)
            .zip(frequencies)
            .filter(|(_, frequency)| **frequency > 0)
            .map(|(symbol, frequency)| (u64::from(*frequency), symbol))
            .collect();
        symbols.sort_unstable();
        // No code may consist of ones only (annex C). A symbol with a frequency of 0 reserves it: its code is the longest.
        let weights: Vec<u64> = std::iter::once(0).chain(symbols.iter().map(|(frequency, _)| *frequency)).collect();
        let mut table = Self { codes: [(0, 0); 256], bits: [0; MAX_CODE_LENGTH], values: Vec::new() };
        let (mut code, mut last_length) = (0_u16, 0);
        // Codes are assigned in order of their lengths (figure C.2).
        for (length, (_, symbol)) in code_lengths(&weights).into_iter().skip(1).zip(symbols).rev() {
            code <<= length - last_length;
            table.codes[usize::from(symbol)] = (code, length);
            table.bits[usize::from(length) - 1] += 1;
            table.values.push(symbol);
            code += 1;
            last_length = length;
        }
        table
    }

    /// The table as DHT defines it, with its class and destination in the first byte (T.81, section B.2.4.2).
    pub(crate) fn specification(&self, class_and_destination: u8) -> Vec<u8> {
        [&[class_and_destination][..], &self.bits, &self.values].concat()
    }
}

/// The code lengths of symbols with ascending weights, which are descending: the package-merge algorithm (L. Larmore and
/// D. Hirschberg, "A fast algorithm for optimal length-limited Huffman codes", 1990).
fn code_lengths(weights: &[u64]) -> Vec<u8> {
    if weights.len() == 1 {
        return vec![1];
    }
    // Each level has all symbols, and packages of two items of the previous level, in order of their weights.
    let mut level: Vec<u64> = Vec::new();
    let mut is_symbol: Vec<Vec<bool>> = Vec::new();
    for _ in 0..MAX_CODE_LENGTH {
        let packages = level.chunks_exact(2).map(|pair| (pair[0] + pair[1], false));
        let mut items: Vec<(u64, bool)> = packages.chain(weights.iter().map(|weight| (*weight, true))).collect();
        items.sort_by_key(|(weight, _)| *weight);
        level = items.iter().map(|(weight, _)| *weight).collect();
        is_symbol.push(items.into_iter().map(|(_, is_symbol)| is_symbol).collect());
    }
    // The first 2n - 2 items of the last level are selected, and with each package the two items of the previous level that
    // it consists of. The code length of a symbol is the number of levels in which it is selected.
    let mut lengths = vec![0; weights.len()];
    let mut selected = 2 * weights.len() - 2;
    for is_symbol in is_symbol.iter().rev() {
        let symbols = is_symbol[..selected].iter().filter(|is_symbol| **is_symbol).count();
        lengths[..symbols].iter_mut().for_each(|length| *length += 1);
        selected = 2 * (selected - symbols);
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of 16-bit words that start with a code: the Kraft sum in units of 2⁻¹⁶.
    fn kraft_sum(table: &HuffmanTable) -> u32 {
        table.codes.iter().filter(|(_, length)| *length > 0).map(|(_, length)| 1 << (16 - length)).sum()
    }

    #[test]
    fn more_frequent_symbols_have_shorter_codes() {
        let mut frequencies = [0; 256];
        for (symbol, frequency) in [(7, 8), (200, 4), (0, 2), (255, 1)] {
            frequencies[symbol] = frequency;
        }
        let table = HuffmanTable::new(&frequencies);
        assert_eq!([7, 200, 0, 255].map(|symbol| table.codes[symbol]), [(0, 1), (0b10, 2), (0b110, 3), (0b1110, 4)]);
        assert_eq!(table.specification(0x11), [0x11, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 200, 0, 255]);
    }

    #[test]
    fn no_code_is_longer_than_sixteen_bits_or_all_ones() {
        // Fibonacci numbers as frequencies give the longest codes.
        let mut frequencies = [0; 256];
        let (mut a, mut b) = (1, 1);
        for frequency in &mut frequencies[..40] {
            *frequency = a;
            (a, b) = (b, a + b);
        }
        for frequencies in [frequencies, [1; 256], [u32::MAX; 256]] {
            let table = HuffmanTable::new(&frequencies);
            let lengths = table.codes.iter().map(|(_, length)| *length);
            assert!(lengths.zip(frequencies).all(|(length, frequency)| (frequency > 0) == (1..=16).contains(&length)));
            assert!(kraft_sum(&table) < 1 << 16, "the code of all ones is assigned");
            for (i, (code, length)) in table.codes.iter().enumerate().filter(|(_, (_, length))| *length > 0) {
                let is_prefix_of = |(other, longer): &(u16, u8)| longer > length && other >> (longer - length) == *code;
                assert!(!table.codes.iter().any(is_prefix_of), "{i}");
            }
        }
    }

    #[test]
    fn no_symbols_and_a_single_symbol_make_a_table() {
        let mut frequencies = [0; 256];
        assert!(HuffmanTable::new(&frequencies).values.is_empty());
        frequencies[3] = 9;
        assert_eq!(HuffmanTable::new(&frequencies).codes[3], (0, 1));
    }
}
