//! EXIF.

/// An EXIF block: a big-endian TIFF structure with the tags Orientation and Make.
#[must_use]
pub fn exif(orientation: u16, maker: &str) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\x08\0\x02".to_vec();
    // Make, ASCII, its length and its offset, after the two entries and the end of the directory.
    tiff.extend(b"\x01\x0F\0\x02");
    tiff.extend(u32::try_from(maker.len()).unwrap_or(0).to_be_bytes());
    tiff.extend(38_u32.to_be_bytes());
    tiff.extend(b"\x01\x12\0\x03\0\0\0\x01");
    tiff.extend(orientation.to_be_bytes());
    tiff.extend([0; 6]);
    tiff.extend(maker.bytes());
    tiff
}
