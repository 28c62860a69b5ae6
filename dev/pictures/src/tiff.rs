//! TIFF.

/// A little-endian TIFF (revision 6.0) of one uncompressed strip.
#[derive(Clone, Debug)]
pub struct Tiff {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Samples per pixel.
    pub channels: u16,
    /// Bits per sample: 8, or 16 in little-endian order.
    pub bits: u16,
    /// `PhotometricInterpretation`: 1 for gray, 2 for RGB, 5 for CMYK.
    pub photometric: u16,
    /// More tags with one SHORT each.
    pub fields: Vec<(u16, u16)>,
    /// More tags with bytes: tag, type (2 for ASCII, 7 for UNDEFINED), bytes.
    pub blobs: Vec<(u16, u16, Vec<u8>)>,
}

impl Tiff {
    /// The file of these samples.
    #[must_use]
    pub fn encode(&self, samples: &[u8]) -> Vec<u8> {
        let mut heap: Vec<u8> = samples.to_vec();
        let mut entries: Vec<(u16, u16, u32, Vec<u8>)> = Vec::new();
        let mut short = |tag: u16, value: u16| entries.push((tag, 3, 1, value.to_le_bytes().to_vec()));
        let (width, height, photometric) = (self.width, self.height, self.photometric);
        for (tag, value) in
            [(256, width), (257, height), (259, 1), (262, photometric), (277, self.channels), (278, height)]
        {
            short(tag, value);
        }
        self.fields.iter().for_each(|(tag, value)| short(*tag, *value));
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
        entries.push((258, 3, self.channels.into(), self.bits.to_le_bytes().repeat(self.channels.into())));
        entries.push((273, 4, 1, 8_u32.to_le_bytes().to_vec()));
        entries.push((279, 4, 1, length(samples).to_le_bytes().to_vec()));
        entries.extend(self.blobs.iter().map(|(tag, kind, body)| (*tag, *kind, length(body), body.clone())));
        entries.sort_by_key(|entry| entry.0);
        let mut directory = u16::try_from(entries.len()).unwrap_or(0).to_le_bytes().to_vec();
        for (tag, kind, count, mut value) in entries {
            if value.len() > 4 {
                heap.resize(heap.len().next_multiple_of(2), 0);
                let at = 8 + length(&heap);
                heap.extend(value);
                value = at.to_le_bytes().to_vec();
            }
            value.resize(4, 0);
            directory.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat());
        }
        directory.extend([0; 4]);
        heap.resize(heap.len().next_multiple_of(2), 0);
        [&b"II*\0"[..], &(8 + length(&heap)).to_le_bytes(), &heap, &directory].concat()
    }
}
