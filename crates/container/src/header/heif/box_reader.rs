//! Reads ISO base media file format boxes in memory (ISO/IEC 14496-12, section 4.2).

/// The most boxes in a box, and entries in a table, to read. AVIF files have about ten, and photographs of telephones in HEIC a
/// few hundred. The search for the alpha item takes time in proportion to the square of it: about 1 ms.
pub(super) const MAX_ENTRIES: usize = 1_024;

/// A box body that is read from front to back; `None` where it is too short.
#[derive(Clone, Copy)]
pub(super) struct BoxReader<'a>(pub(super) &'a [u8]);

impl<'a> BoxReader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian number of 0 to 8 bytes.
    pub(super) fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.number(2).and_then(|number| number.try_into().ok())
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.number(4).and_then(|number| number.try_into().ok())
    }

    /// Version and flags of a `FullBox` (ISO/IEC 14496-12, section 4.2).
    pub(super) fn full_box(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some((u8::try_from(word >> 24).ok()?, word & 0xFF_FFFF))
    }

    /// The next box: its type and its body. A size of 0 means the rest, and of 1 a size of 64 bits after the type.
    pub(super) fn next_box(&mut self) -> Option<([u8; 4], BoxReader<'a>)> {
        let size = self.u32()?;
        let kind = self.take(4)?.try_into().ok()?;
        let length = match size {
            0 => self.0.len(),
            1 => usize::try_from(self.number(8)?.checked_sub(16)?).ok()?,
            size => usize::try_from(size.checked_sub(8)?).ok()?,
        };
        Some((kind, BoxReader(self.take(length)?)))
    }

    /// All boxes in this one.
    pub(super) fn boxes(mut self) -> Option<Vec<([u8; 4], BoxReader<'a>)>> {
        let mut boxes = Vec::new();
        while !self.0.is_empty() {
            boxes.push(self.next_box()?);
            if boxes.len() > MAX_ENTRIES {
                return None;
            }
        }
        Some(boxes)
    }

    /// The first box of a type in this one.
    pub(super) fn child(self, kind: [u8; 4]) -> Option<BoxReader<'a>> {
        self.boxes()?.into_iter().find(|(found, _)| *found == kind).map(|(_, body)| body)
    }
}
