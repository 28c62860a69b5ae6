//! Reads single tags of EXIF and TIFF.

/// Tag 274 of the first directory (CIPA DC-008-2019, section 4.6.4).
const ORIENTATION: u16 = 274;
/// The field type SHORT: 16 bits, unsigned.
const SHORT: u16 = 3;

/// The orientation tag of EXIF, 1 to 8; 1, upright, where there is none or it cannot be read. `exif` is a TIFF structure, with or
/// without the `Exif\0\0` that precedes it in JPEG.
#[must_use]
pub fn orientation(exif: &[u8]) -> u16 {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    tag(tiff, ORIENTATION).filter(|tag| (1..=8).contains(tag)).unwrap_or(1)
}

/// The first value of a tag of type SHORT in the first image file directory (IFD).
fn tag(tiff: &[u8], wanted: u16) -> Option<u16> {
    let big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = [*tiff.get(at)?, *tiff.get(at.checked_add(1)?)?];
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let long = |at: usize| {
        let (first, second) = (u32::from(short(at)?), u32::from(short(at.checked_add(2)?)?));
        Some(if big_endian { first << 16 | second } else { second << 16 | first })
    };
    let ifd = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(ifd)?);
    (0..entries)
        .map_while(|entry| {
            let at = ifd.checked_add(2 + 12 * entry)?;
            Some((short(at)?, short(at.checked_add(2)?)?, short(at.checked_add(8)?)?))
        })
        .find_map(|(tag, field_type, value)| (tag == wanted && field_type == SHORT).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read() {
        let little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
        assert_eq!(orientation(little), 6);
        assert_eq!(orientation(big), 6);
    }

    #[test]
    fn an_unreadable_orientation_is_upright() {
        for exif in [&b""[..], b"Exif\0\0", b"II*\0\xFF\xFF\xFF\xFF", b"II*\0\x08\0\0\0\xFF\xFF\x12\x01"] {
            assert_eq!(orientation(exif), 1);
        }
    }
}
