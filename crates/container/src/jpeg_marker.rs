//! The second byte of each JPEG marker; the first is always 0xFF (T.81, table B.1).

/// Start of image.
pub const SOI: u8 = 0xD8;
/// End of image.
pub const EOI: u8 = 0xD9;
/// Start of frame: baseline sequential DCT, Huffman coding.
pub const SOF0: u8 = 0xC0;
/// Start of frame: extended sequential DCT, Huffman coding.
pub const SOF1: u8 = 0xC1;
/// Start of frame: progressive DCT, Huffman coding.
pub const SOF2: u8 = 0xC2;
/// Start of frame: lossless (sequential), Huffman coding.
pub const SOF3: u8 = 0xC3;
/// Start of frame: differential sequential DCT (hierarchical), Huffman coding.
pub const SOF5: u8 = 0xC5;
/// Start of frame: differential lossless (hierarchical), Huffman coding.
pub const SOF7: u8 = 0xC7;
/// Start of frame: extended sequential DCT, arithmetic coding.
pub const SOF9: u8 = 0xC9;
/// Start of frame: progressive DCT, arithmetic coding.
pub const SOF10: u8 = 0xCA;
/// Start of frame: lossless (sequential), arithmetic coding.
pub const SOF11: u8 = 0xCB;
/// Start of frame: differential sequential DCT (hierarchical), arithmetic coding.
pub const SOF13: u8 = 0xCD;
/// Start of frame: differential lossless (hierarchical), arithmetic coding.
pub const SOF15: u8 = 0xCF;
/// Define hierarchical progression.
pub const DHP: u8 = 0xDE;
/// Define Huffman tables.
pub const DHT: u8 = 0xC4;
/// Define quantization tables.
pub const DQT: u8 = 0xDB;
/// Define restart interval.
pub const DRI: u8 = 0xDD;
/// Start of scan.
pub const SOS: u8 = 0xDA;
/// First of the eight restart markers RST0 to RST7.
pub const RST0: u8 = 0xD0;
/// Last of the restart markers.
pub const RST7: u8 = 0xD7;
/// Application segment 0: JFIF.
pub const APP0: u8 = 0xE0;
/// Application segment 1: EXIF or XMP.
pub const APP1: u8 = 0xE1;
/// Application segment 2: ICC profile.
pub const APP2: u8 = 0xE2;
/// Application segment 13: Photoshop image resources, which hold IPTC datasets.
pub const APP13: u8 = 0xED;
/// Application segment 14: Adobe's colour transform.
pub const APP14: u8 = 0xEE;
/// Application segment 15, the last one.
pub const APP15: u8 = 0xEF;
/// Comment.
pub const COM: u8 = 0xFE;
/// For temporary private use in arithmetic coding. It has no segment.
pub const TEM: u8 = 0x01;
