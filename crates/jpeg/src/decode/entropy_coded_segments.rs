//! The entropy-coded segments of a scan, which restart markers separate (T.81, section B.1.1.5).

use darkroom_container::jpeg_marker::{EOI, RST0};

use super::bit_reader::BitReader;

/// The entropy-coded segments of a scan, one for each restart interval.
pub(super) struct EntropyCodedSegments {
    /// All segments, one after the other, without markers and without the zero bytes stuffed after 0xFF.
    bytes: Vec<u8>,
    /// The offset in `bytes` at which each segment ends.
    ends: Vec<usize>,
}

impl EntropyCodedSegments {
    /// Splits what follows the scan header into `count` segments. `None` unless they are separated by the restart markers
    /// RST0 to RST7 in turn, and followed by EOI.
    pub(super) fn parse(mut scan: &[u8], count: usize) -> Option<Self> {
        let mut bytes = Vec::with_capacity(scan.len());
        let mut ends = Vec::new();
        loop {
            let prefix = memchr::memchr(0xFF, scan)?;
            bytes.extend_from_slice(&scan[..prefix]);
            match *scan.get(prefix + 1)? {
                0 => bytes.push(0xFF),
                EOI if ends.len() + 1 == count => {
                    ends.push(bytes.len());
                    return Some(Self { bytes, ends });
                }
                restart if usize::from(restart) == usize::from(RST0) + ends.len() % 8 && ends.len() + 1 < count => {
                    ends.push(bytes.len());
                }
                _ => return None,
            }
            scan = &scan[prefix + 2..];
        }
    }

    /// A reader of the segment with this index; `None` after the last one.
    pub(super) fn reader(&self, index: usize) -> Option<BitReader<'_>> {
        let start = index.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        Some(BitReader::new(&self.bytes[start..*self.ends.get(index)?]))
    }
}
