//! The chunks of a PNG file (W3C PNG, third edition, section 5.3).

/// The contents of the eXIf chunk, before or after the pixels: a TIFF structure.
#[must_use]
pub fn exif(bytes: &[u8]) -> Option<&[u8]> {
    chunks(bytes).find_map(|(kind, data)| (kind == b"eXIf").then_some(data))
}

/// The chunks of a PNG file: type and data. Ends at the first damaged chunk; checksums are not compared.
pub fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_at_checked(4)?;
        let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after.get(4..).unwrap_or_default();
        Some((kind, data))
    })
}
