//! ICC profiles.

/// A CMYK profile (ICC.1, lut8Type) that maps every ink to a gray of L* = 50, and no ink to white.
#[must_use]
pub fn gray_ink_profile() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for i in 0..9 {
        table.extend(if i % 4 == 0 { 0x1_0000_u32 } else { 0 }.to_be_bytes());
    }
    (0..4).for_each(|_| table.extend(0..=255));
    for corner in 0..16 {
        table.extend([if corner == 0 { 255 } else { 128 }, 128, 128]);
    }
    (0..3).for_each(|_| table.extend(0..=255));
    let mut profile = vec![0; 128];
    let length = 128 + 4 + 12 + table.len();
    profile[..4].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    profile[68..80].copy_from_slice(&[0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    profile.extend(1_u32.to_be_bytes());
    profile.extend(b"A2B0");
    profile.extend(144_u32.to_be_bytes());
    profile.extend(u32::try_from(table.len()).unwrap_or(0).to_be_bytes());
    profile.extend(table);
    profile
}
