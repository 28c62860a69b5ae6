//! The chunks of a WebP file (RFC 9649, section 2.3).

/// The EXIF chunk: a TIFF structure.
#[must_use]
pub fn exif(bytes: &[u8]) -> Option<&[u8]> {
    chunks(bytes).find_map(|(kind, body)| (kind == b"EXIF").then_some(body))
}

/// The chunks of the file, as kind and body.
pub fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_at_checked(4)?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length)?;
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((kind, body))
    })
}
