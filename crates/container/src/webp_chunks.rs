//! The chunks of a WebP file (RFC 9649, section 2.3).

/// The contents of the EXIF chunk: a TIFF structure.
#[must_use]
pub fn exif(bytes: &[u8]) -> Option<&[u8]> {
    chunks(bytes).find_map(|(fourcc, payload)| (fourcc == b"EXIF").then_some(payload))
}

/// The chunks of a WebP file: `FourCC` and payload. Ends at the first damaged chunk.
pub fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (fourcc, after) = rest.split_at_checked(4)?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let payload = after.get(..length)?;
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((fourcc, payload))
    })
}
