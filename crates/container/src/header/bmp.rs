//! BMP (Windows and OS/2 bitmap): the file header and the DIB header, from `BITMAPCOREHEADER` to `BITMAPV5HEADER`, and those of
//! OS/2 2.x.

use std::io::{BufRead, Seek};

use super::{
    Header, HeaderError, HeaderLimits,
    byte_reader::ByteReader,
    error::{broken, unsupported},
};
use darkroom_model::SourceFormat;

/// The length of the file header in bytes.
const FILE_HEADER: u64 = 14;
/// The length of `BITMAPCOREHEADER`, whose palette has three bytes a colour.
const CORE_HEADER: u32 = 12;
/// The length of a header up to its alpha mask: `BITMAPV3INFOHEADER`.
const HEADER_WITH_ALPHA: u32 = 56;
/// The length of `BITMAPV5HEADER`.
const V5_HEADER: u32 = 124;
/// `bV5CSType` of an embedded profile: `MBED`.
const PROFILE_EMBEDDED: u32 = 0x4D42_4544;

/// The structure of a BMP file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Rows run from top to bottom.
    pub top_down: bool,
    /// Bits of a pixel: 1, 2, 4, 8, 16, 24 or 32.
    pub bits: u16,
    /// How rows are stored.
    pub coding: Coding,
    /// The bits of red, green, blue and alpha in a pixel of 16, 24 or 32 bits.
    pub masks: [u32; 4],
    /// The palette of pixels of at most 8 bits.
    pub palette: Palette,
    /// The offset of the pixels from the start of the file, in bytes.
    pub pixels: u64,
    /// The offset and the length of the ICC profile, in bytes from the start of the file.
    pub profile: Option<(u64, u32)>,
}

/// How rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `BI_RGB`, `BI_BITFIELDS`, `BI_ALPHABITFIELDS`: whole rows, padded to four bytes.
    Rows,
    /// `BI_RLE4`, `BI_RLE8`, and RLE24 of OS/2: runs.
    RunLength,
}

/// Where the palette is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// The offset from the start of the file, in bytes.
    pub offset: u64,
    /// The number of colours that pixels can name and the file has.
    pub colours: u32,
    /// Bytes of a colour, 3 or 4: blue, green, red.
    pub colour_bytes: u32,
}

/// Two letters alone are a weak signature: the DIB header must have a known length, too.
pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(b"BM") && matches!(start.get(14..16), Some([length, 0]) if is_length(u32::from(*length)))
}

/// OS/2 2.x may cut its header of 64 bytes after any field.
fn is_length(length: u32) -> bool {
    match length {
        CORE_HEADER | 108 | V5_HEADER => true,
        16..=64 => length.is_multiple_of(4) || matches!(length, 42 | 46),
        _ => false,
    }
}

pub(super) fn read<R: BufRead + Seek>(input: &mut ByteReader<'_, R>, _: &HeaderLimits) -> Result<Header, HeaderError> {
    let Layout { width, height, .. } = layout(input)?;
    Ok(Header { format: SourceFormat::Bmp, width, height, frames: 1, scans: 1, bits_per_pixel: 32, decoded_pixels: 0 })
}

pub(super) fn layout<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Layout, HeaderError> {
    input.skip_exact(10)?;
    let pixels = u64::from(input.le32()?);
    let length = input.le32()?;
    if !is_length(length) {
        return broken("its header has an invalid length");
    }
    let is_core = length == CORE_HEADER;
    let (width, height) = if is_core {
        (input.le16()?.into(), i32::from(input.le16()?))
    } else {
        (input.le32()?, input.le32()?.cast_signed())
    };
    if width == 0 || height == 0 || width > i32::MAX.unsigned_abs() || height == i32::MIN {
        return broken("its width or height is out of range");
    }
    input.skip_exact(2)?;
    let bits = input.le16()?;
    // What a shorter header leaves out is 0.
    let mut rest = vec![0; V5_HEADER as usize];
    let start = if is_core { 12 } else { 16 };
    let fields = input.bytes((length - start) as usize)?;
    rest[start as usize..length as usize].copy_from_slice(&fields);
    let field = |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
    let is_windows = matches!(length, 40 | 52 | HEADER_WITH_ALPHA | 108 | V5_HEADER);
    let compression = field(16);
    // BI_RGB 0, BI_RLE8 1, BI_RLE4 2, BI_BITFIELDS 3, BI_JPEG 4, BI_PNG 5, BI_ALPHABITFIELDS 6; of OS/2 2.x 3 is Huffman's code
    // and 4 is RLE24.
    let coding = match (bits, compression) {
        (1 | 2 | 4 | 8 | 16 | 24 | 32, 0) | (16 | 32, 6) => Coding::Rows,
        (8, 1) | (4, 2) | (24, 4) => Coding::RunLength,
        (1, 3) => return unsupported("a BMP in the Huffman code of OS/2"),
        (16 | 32, 3) if is_windows => Coding::Rows,
        (_, 4 | 5) => return unsupported("a BMP that holds a JPEG or a PNG"),
        (64, 0 | 3) => return unsupported("a BMP of 64 bits a pixel"),
        _ => return broken("its bit depth and its compression do not match"),
    };
    let has_masks = matches!(compression, 3 | 6);
    // Without a field for them, masks follow the header.
    let masks_after = match compression {
        3 if length == 40 => 3,
        6 if length == 40 => 4,
        _ => 0,
    };
    let mut masks = match bits {
        _ if has_masks => [field(40), field(44), field(48), 0],
        16 => [0x7C00, 0x03E0, 0x001F, 0],
        _ => [0x00FF_0000, 0x0000_FF00, 0x0000_00FF, 0],
    };
    for mask in masks.iter_mut().take(masks_after) {
        *mask = input.le32()?;
    }
    // It counts without the other masks, too, as in browsers.
    if length >= HEADER_WITH_ALPHA && is_windows && matches!(bits, 16 | 32) {
        masks[3] = field(52);
    }
    let offset = FILE_HEADER + u64::from(length) + 4 * masks_after as u64;
    let colour_bytes = if is_core { 3 } else { 4 };
    let (possible, used) = (if bits <= 8 { 1_u32 << bits } else { 0 }, field(32));
    let declared = if used == 0 { possible } else { used };
    // A palette that is larger than pixels can name lies between them and the header.
    let end = offset + u64::from(declared) * u64::from(colour_bytes);
    let pixels = if pixels < offset { end } else { pixels };
    let fitting = u32::try_from((pixels - offset) / u64::from(colour_bytes)).unwrap_or(u32::MAX);
    let palette = Palette { offset, colours: declared.min(possible).min(fitting), colour_bytes };
    let has_profile = length == V5_HEADER && field(56) == PROFILE_EMBEDDED && field(116) > 0;
    Ok(Layout {
        width,
        height: height.unsigned_abs(),
        top_down: height < 0,
        bits,
        coding,
        masks,
        palette,
        pixels,
        profile: has_profile.then(|| (FILE_HEADER + u64::from(field(112)), field(116))),
    })
}
