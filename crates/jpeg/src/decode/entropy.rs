//! The entropy-coded data of a scan, read block by block (T.81, annex F.2.2).
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use super::{
    code::{Code, Frequencies, Symbol, Window, value},
    inverse::Batch,
};
use crate::dct::ZIGZAG;

/// The data of a scan.
pub(super) struct Data {
    /// Without its markers, and the zeros that are stuffed after 0xFF.
    bytes: Vec<u8>,
    /// Where each interval between markers ends.
    ends: Vec<usize>,
}

impl Data {
    /// Of what follows the header of the last scan, in so many intervals. `None` unless the markers are just those that
    /// should be there.
    pub(super) fn new(mut coded: &[u8], intervals: usize) -> Option<Self> {
        let mut bytes = Vec::with_capacity(coded.len());
        let mut ends = Vec::new();
        loop {
            let marker = memchr::memchr(0xFF, coded)?;
            bytes.extend_from_slice(&coded[..marker]);
            match usize::from(*coded.get(marker + 1)?) {
                0 => bytes.push(0xFF),
                0xD9 if ends.len() + 1 == intervals => {
                    ends.push(bytes.len());
                    return Some(Self { bytes, ends });
                }
                restart if restart == 0xD0 + ends.len() % 8 && ends.len() + 1 < intervals => ends.push(bytes.len()),
                _ => return None,
            }
            coded = &coded[marker + 2..];
        }
    }

    /// The bits of an interval. `None` behind the last one.
    pub(super) fn interval(&self, number: usize) -> Option<Bits<'_>> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(Bits { bytes: &self.bytes[start..*self.ends.get(number)?], at: 0, window: 0, count: 0 })
    }
}

/// The bits of an interval, from its first to its last. Beyond it there are zeros without end.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to be taken.
    at: usize,
    window: Window,
    /// How many bits of the window are taken.
    count: u32,
}

impl Bits<'_> {
    /// At least 56 bits are there afterwards.
    #[inline(always)]
    fn refill(&mut self) {
        let next = match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(next) => u64::from_be_bytes(*next),
            None => self.last(),
        };
        self.window |= next >> self.count;
        let bytes = (63 - self.count) / 8;
        self.at += bytes as usize;
        self.count += 8 * bytes;
    }

    #[cold]
    fn last(&self) -> u64 {
        let mut next = [0; 8];
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        next.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(next)
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.window <<= bits;
        self.count -= bits;
    }

    #[inline(always)]
    fn value(&mut self, symbol: Symbol) -> i16 {
        let value = value(self.window << symbol.bits, symbol.size());
        self.skip(symbol.all_bits.into());
        value
    }

    /// Whether all was read but for what fills the last byte, and nothing beyond.
    pub(super) fn are_read(&self) -> bool {
        (self.at * 8 - self.count as usize).div_ceil(8) == self.bytes.len()
    }

    /// Whether more was read than there is.
    pub(super) fn are_passed(&self) -> bool {
        self.at * 8 - self.count as usize > self.bytes.len() * 8
    }

    /// Reads a block: its mean's difference to `mean`, which becomes its own, and at least the `wanted` lowest frequencies.
    /// `None` if it is none.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        (means, frequencies): (&Code, &Frequencies),
        mean: &mut i16,
        wanted: usize,
        batch: &mut Batch,
        lane: usize,
    ) -> Option<()> {
        self.refill();
        let symbol = means.symbol(self.window)?;
        *mean = mean.wrapping_add(self.value(symbol));
        batch.set(0, lane, *mean);
        // How many frequencies were read.
        let mut read = 1;
        // So many pairs have room in what is left of the window.
        let mut room = 2;
        let ended = loop {
            if read >= wanted {
                break false;
            }
            let pair = frequencies.pair(self.window);
            let after = read + pair.passed.frequencies();
            // After its last frequency, nothing says that a block ends, and another begins.
            if pair.passed.bits > 0 && after < 64 {
                for (value, place) in pair.values.iter().zip(pair.places) {
                    batch.set(at(read + usize::from(place)), lane, *value);
                }
                self.skip(pair.passed.bits.into());
                read = after;
                if pair.passed.are_last() {
                    break true;
                }
                room -= 1;
                if room == 0 {
                    self.refill();
                    room = 5;
                }
                continue;
            }
            self.refill();
            room = 2;
            let symbol = frequencies.code.symbol(self.window)?;
            if symbol.is_end() {
                self.skip(symbol.bits.into());
                break true;
            }
            read += usize::from(symbol.run());
            batch.set(at(read), lane, self.value(symbol));
            read += 1;
        };
        batch.reaches(read);
        if ended { Some(()) } else { self.pass(frequencies, read) }
    }

    /// Passes over the frequencies after the first `read`.
    #[inline(always)]
    fn pass(&mut self, frequencies: &Frequencies, mut read: usize) -> Option<()> {
        while read < 64 {
            self.refill();
            let passed = frequencies.passed(self.window);
            let after = read + passed.frequencies();
            if passed.bits > 0 && after < 64 {
                self.skip(passed.bits.into());
                if passed.are_last() {
                    return Some(());
                }
                read = after;
                continue;
            }
            let symbol = frequencies.code.symbol(self.window)?;
            self.skip(symbol.all_bits.into());
            if symbol.is_end() {
                return Some(());
            }
            read += usize::from(symbol.run()) + 1;
        }
        (read == 64).then_some(())
    }
}

/// Where in a block a frequency stands, told by its place from low to high.
#[inline(always)]
fn at(index: usize) -> usize {
    usize::from(PLACES[index % PLACES.len()])
}

/// A run may lead beyond the last one.
const PLACES: [u8; 128] = {
    let mut places = [63; 128];
    let mut index = 0;
    while index < 64 {
        places[index] = ZIGZAG[index];
        index += 1;
    }
    places
};
