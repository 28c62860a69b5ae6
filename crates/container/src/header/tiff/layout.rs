//! What the directory of a picture says about its pixels, checked: a file of a kind that the decoder does not read is refused by
//! the name of that kind.

use std::io::{BufRead, Seek};

use super::directory::{Directories, Directory, Values, tag};
use crate::header::{
    HeaderError,
    error::{broken, unsupported},
};

/// The picture of a TIFF.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of the file of its own")]
pub struct Layout {
    /// Width in pixels as stored.
    pub width: u32,
    /// Height in pixels as stored.
    pub height: u32,
    /// Big-endian byte order.
    pub big_endian: bool,
    /// Bits of each sample, 1 to 32, unsigned.
    pub bits: u32,
    /// Samples of each pixel, 1 to 16.
    pub samples: u32,
    /// What the samples mean.
    pub photometric: Photometric,
    /// The index of the sample that is alpha, and whether colours are premultiplied by it. Other samples after the colours are
    /// to be ignored.
    pub alpha: Option<Alpha>,
    /// How chunks are compressed.
    pub compression: Compression,
    /// Samples are differences to those of the pixel on the left (section 14).
    pub horizontal_predictor: bool,
    /// Bits in a byte run from the least significant one.
    pub reversed_bits: bool,
    /// Each chunk has one sample of each pixel.
    pub planar: bool,
    /// The strips or tiles.
    pub chunks: Chunks,
    /// The palette: all reds, all greens, all blues, of 16 bits.
    pub colour_map: Option<Values>,
    /// The ICC profile.
    pub profile: Option<Values>,
    /// Tables for all chunks: an abbreviated JPEG.
    pub jpeg_tables: Option<Values>,
    /// The orientation tag, 1 to 8.
    pub orientation: u16,
}

/// `PhotometricInterpretation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Photometric {
    /// Gray, 0 is white.
    WhiteIsZero,
    /// Gray, 0 is black.
    BlackIsZero,
    /// Red, green, blue.
    Rgb,
    /// An index into [`Layout::colour_map`].
    Palette,
    /// Cyan, magenta, yellow, black; 0 is no ink.
    Cmyk,
    /// Section 21.
    YCbCr {
        /// How many times wider and higher luma is than chroma: 1, 2 or 4.
        subsampling: (u32, u32),
        /// The luma coefficients of red, green and blue.
        coefficients: [f32; 3],
        /// `ReferenceBlackWhite`: the codes of black and white, for each component.
        reference: [f32; 6],
    },
}

impl Photometric {
    /// Samples of a pixel that are colours.
    pub const fn colours(self) -> u32 {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr { .. } => 3,
            Self::Cmyk => 4,
        }
    }
}

/// The alpha channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alpha {
    /// The index of the sample.
    pub sample: u32,
    /// Colours are premultiplied by it.
    pub associated: bool,
}

/// `Compression`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// Modified Huffman run lengths (section 10).
    Rle,
    /// ITU-T T.4; where it is two-dimensional, some rows are coded as differences to the previous one.
    Group3 {
        /// `T4Options`, bit 0.
        two_dimensional: bool,
    },
    /// ITU-T T.6.
    Group4,
    /// Section 13, and the bit order of writers before it.
    Lzw,
    /// TIFF Technical Note 2.
    Jpeg,
    /// zlib.
    Deflate,
    /// Section 9.
    PackBits,
}

/// The strips or tiles of a picture: rectangles that are compressed on their own, row by row from the top left one, and all those of
/// a plane before those of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// Tiles are whole where they reach beyond the picture; strips end at its edge.
    pub tiled: bool,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The offset of each from the start of the file.
    pub offsets: Values,
    /// The length of each in bytes.
    pub byte_counts: Option<Values>,
}

impl Layout {
    /// Pixels that are decoded at once for the largest chunk.
    pub(super) fn chunk_pixels(&self) -> u64 {
        u64::from(self.chunks.width) * u64::from(self.chunks.height)
    }

    /// Bits of a decoded pixel, as [`Header::bits_per_pixel`](crate::header::Header::bits_per_pixel) has them.
    pub(super) fn bits_per_pixel(&self) -> u32 {
        match self.photometric {
            // Three channels of 8 bits, and alpha.
            Photometric::Palette => self.samples.max(1) * 8 + 16,
            _ => self.samples * self.bits.max(8),
        }
    }
}

pub(super) fn read<R: BufRead + Seek>(
    file: &mut Directories<'_, '_, R>,
    directory: &Directory,
) -> Result<Layout, HeaderError> {
    if directory.get(tag::DNG_VERSION).is_some() {
        return unsupported("a camera's raw file");
    }
    let mut integer = |tag, default| Ok(file.integer(directory, tag)?.unwrap_or(default));
    let (width, height) = (integer(tag::IMAGE_WIDTH, 0)?, integer(tag::IMAGE_LENGTH, 0)?);
    if width == 0 || height == 0 {
        return broken("its width or height is 0");
    }
    let samples = integer(tag::SAMPLES_PER_PIXEL, 1)?;
    let (fill_order, planar) = (integer(tag::FILL_ORDER, 1)?, integer(tag::PLANAR_CONFIGURATION, 1)?);
    let (ink_set, predictor) = (integer(tag::INK_SET, 1)?, integer(tag::PREDICTOR, 1)?);
    let t4_options = integer(tag::T4_OPTIONS, 0)?;
    let orientation = integer(tag::ORIENTATION, 1)?;
    let compression = compression(integer(tag::COMPRESSION, 1)?, t4_options)?;
    let photometric_tag = integer(tag::PHOTOMETRIC_INTERPRETATION, 0)?;
    let photometric = photometric(file, directory, photometric_tag, ink_set)?;
    if !(photometric.colours()..=16).contains(&samples) {
        return unsupported("a TIFF with an unusual number of channels");
    }
    let bits = bits(file, directory, samples)?;
    let layout = Layout {
        width,
        height,
        big_endian: file.big_endian,
        bits,
        samples,
        photometric,
        alpha: alpha(file, directory, photometric, samples)?,
        compression,
        // It belongs to these two compressions (section 14), and readers ignore it for others.
        horizontal_predictor: predictor != 1 && matches!(compression, Compression::Lzw | Compression::Deflate),
        reversed_bits: fill_order == 2,
        planar: planar == 2 && samples > 1,
        chunks: chunks(file, directory, (width, height))?,
        colour_map: directory.get(tag::COLOR_MAP),
        profile: directory.get(tag::ICC_PROFILE),
        jpeg_tables: directory.get(tag::JPEG_TABLES),
        orientation: u16::try_from(orientation).ok().filter(|tag| (1..=8).contains(tag)).unwrap_or(1),
    };
    check_combinations(&layout, predictor)?;
    Ok(layout)
}

/// What each tag allows alone and the decoder does not read together.
fn check_combinations(layout: &Layout, predictor: u32) -> Result<(), HeaderError> {
    let Layout { bits, samples, photometric, compression, .. } = *layout;
    let fax = matches!(compression, Compression::Rle | Compression::Group3 { .. } | Compression::Group4);
    if fax && (bits != 1 || samples != 1) {
        return broken("its compression and its depth do not match");
    }
    if layout.horizontal_predictor {
        match predictor {
            2 if matches!(bits, 8 | 16 | 32) => {}
            2 => return unsupported("a TIFF with a predictor at an unusual depth"),
            3 => return unsupported("a TIFF with a floating-point predictor"),
            _ => return unsupported("a TIFF with an unknown predictor"),
        }
    }
    if compression == Compression::Jpeg {
        if bits != 8 {
            return unsupported("a TIFF that holds a JPEG of more than 8 bits a sample");
        }
        if !layout.planar && !matches!(samples, 1 | 3 | 4) {
            return unsupported("a TIFF that holds a JPEG with an unusual number of channels");
        }
        if photometric == Photometric::Palette {
            return broken("its compression and its palette do not match");
        }
    }
    match photometric {
        Photometric::Palette if bits > 8 => return unsupported("a TIFF with a palette of more than 8 bits"),
        Photometric::Palette if layout.colour_map.is_none() => return broken("it has no palette"),
        Photometric::YCbCr { .. } if bits != 8 => return unsupported("a TIFF of YCbCr that has not 8 bits a sample"),
        Photometric::YCbCr { .. } if samples != 3 => return unsupported("a TIFF of YCbCr with more channels"),
        Photometric::YCbCr { subsampling, .. } if subsampling != (1, 1) => {
            if layout.planar {
                return unsupported("a TIFF of YCbCr in separate planes");
            }
            if layout.horizontal_predictor {
                return unsupported("a TIFF of subsampled YCbCr with a predictor");
            }
        }
        Photometric::YCbCr { .. } if layout.planar && compression == Compression::Jpeg => {
            return unsupported("a TIFF of YCbCr in separate planes");
        }
        _ => {}
    }
    Ok(())
}

fn compression(tag: u32, t4_options: u32) -> Result<Compression, HeaderError> {
    Ok(match tag {
        1 => Compression::None,
        2 => Compression::Rle,
        3 if t4_options & 2 != 0 => return unsupported("a TIFF with uncompressed rows in its fax data"),
        3 => Compression::Group3 { two_dimensional: t4_options & 1 != 0 },
        4 => Compression::Group4,
        5 => Compression::Lzw,
        6 => return unsupported("a TIFF that holds a JPEG in the old way (compression 6)"),
        7 => Compression::Jpeg,
        8 | 32_946 => Compression::Deflate,
        32_773 => Compression::PackBits,
        // Nikon, Kodak, Sony, Samsung, Pentax.
        34_713 | 34_892 | 65_000 | 65_535 | 32_767 | 32_769 | 32_770 => return unsupported("a camera's raw file"),
        32_771 => return unsupported("a TIFF with word-aligned fax compression (CCITTRLEW)"),
        33_003 | 33_005 | 34_712 => return unsupported("a TIFF that holds a JPEG 2000"),
        34_676 | 34_677 => return unsupported("a TIFF with LogLuv compression"),
        34_887 => return unsupported("a TIFF with LERC compression"),
        34_925 => return unsupported("a TIFF with LZMA compression"),
        50_000 => return unsupported("a TIFF with Zstandard compression"),
        50_001 => return unsupported("a TIFF that holds a WebP"),
        50_002 | 52_546 => return unsupported("a TIFF that holds a JPEG XL"),
        _ => return unsupported("a TIFF with an unknown compression"),
    })
}

fn photometric<R: BufRead + Seek>(
    file: &mut Directories<'_, '_, R>,
    directory: &Directory,
    tag: u32,
    ink_set: u32,
) -> Result<Photometric, HeaderError> {
    Ok(match tag {
        0 => Photometric::WhiteIsZero,
        1 => Photometric::BlackIsZero,
        2 => Photometric::Rgb,
        3 => Photometric::Palette,
        4 => return unsupported("a TIFF of a transparency mask"),
        5 if ink_set != 1 => return unsupported("a TIFF of other inks than CMYK"),
        5 => Photometric::Cmyk,
        6 => ycbcr(file, directory)?,
        8..=10 => return unsupported("a TIFF in L*a*b*"),
        32_803 | 34_892 => return unsupported("a camera's raw file"),
        32_844 | 32_845 => return unsupported("a TIFF in LogLuv"),
        _ => return unsupported("a TIFF in an unknown colour space"),
    })
}

fn ycbcr<R: BufRead + Seek>(
    file: &mut Directories<'_, '_, R>,
    directory: &Directory,
) -> Result<Photometric, HeaderError> {
    let mut integers = |tag, max| match directory.get(tag) {
        Some(values) => file.integers(values, max).map(Some),
        None => Ok(None),
    };
    let subsampling = match integers(tag::YCBCR_SUBSAMPLING, 2)?.as_deref() {
        None => (2, 2),
        Some([h @ (1 | 2 | 4), v @ (1 | 2 | 4)]) => (*h, *v),
        Some(_) => return broken("its chroma subsampling is invalid"),
    };
    #[expect(clippy::cast_precision_loss, reason = "ratios of numbers up to 255")]
    let ratios = |integers: &[u32]| -> Vec<f32> {
        integers.chunks_exact(2).map(|pair| pair[0] as f32 / (pair[1] as f32).max(1.0)).collect()
    };
    let coefficients = integers(tag::YCBCR_COEFFICIENTS, 6)?.map(|integers| ratios(&integers));
    let coefficients = match coefficients.as_deref() {
        Some([red, green, blue]) if *green > 0.0 => [*red, *green, *blue],
        _ => [0.299, 0.587, 0.114],
    };
    let reference = integers(tag::REFERENCE_BLACK_WHITE, 12)?.map(|integers| ratios(&integers));
    let reference = reference.and_then(|reference| <[f32; 6]>::try_from(reference).ok());
    let usable = |reference: &[f32; 6]| reference.chunks_exact(2).all(|pair| pair[1] > pair[0]);
    let reference = reference.filter(usable).unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
    Ok(Photometric::YCbCr { subsampling, coefficients, reference })
}

fn bits<R: BufRead + Seek>(
    file: &mut Directories<'_, '_, R>,
    directory: &Directory,
    samples: u32,
) -> Result<u32, HeaderError> {
    if let Some(values) = directory.get(tag::SAMPLE_FORMAT) {
        for format in file.integers(values, samples as usize)? {
            match format {
                // Unsigned, and undefined.
                1 | 4 => {}
                2 => return unsupported("a TIFF of signed integers"),
                3 => return unsupported("a TIFF of floating-point numbers"),
                5 | 6 => return unsupported("a TIFF of complex numbers"),
                _ => return broken("its sample format is invalid"),
            }
        }
    }
    let bits = match directory.get(tag::BITS_PER_SAMPLE) {
        Some(values) => file.integers(values, samples as usize)?,
        None => vec![1],
    };
    match bits.as_slice() {
        [first, others @ ..] if others.iter().any(|bits| bits != first) => {
            unsupported("a TIFF whose channels differ in depth")
        }
        [bits @ 1..=32, ..] => Ok(*bits),
        _ => unsupported("a TIFF of an unusual depth"),
    }
}

/// As libtiff does, four samples of RGB of which nothing is said have premultiplied alpha.
fn alpha<R: BufRead + Seek>(
    file: &mut Directories<'_, '_, R>,
    directory: &Directory,
    photometric: Photometric,
    samples: u32,
) -> Result<Option<Alpha>, HeaderError> {
    let colours = photometric.colours();
    let Some(values) = directory.get(tag::EXTRA_SAMPLES) else {
        let has_alpha = photometric == Photometric::Rgb && samples == 4;
        return Ok(has_alpha.then_some(Alpha { sample: 3, associated: true }));
    };
    let extra = file.integers(values, samples.saturating_sub(colours) as usize)?;
    let alpha = (colours..).zip(extra).find(|(_, kind)| matches!(kind, 1 | 2));
    Ok(alpha.map(|(sample, kind)| Alpha { sample, associated: kind == 1 }))
}

fn chunks<R: BufRead + Seek>(
    file: &mut Directories<'_, '_, R>,
    directory: &Directory,
    (width, height): (u32, u32),
) -> Result<Chunks, HeaderError> {
    let tile = (file.integer(directory, tag::TILE_WIDTH)?, file.integer(directory, tag::TILE_LENGTH)?);
    // Some writers put the offsets of tiles into the tags of strips.
    let either = |one, other| directory.get(one).or_else(|| directory.get(other));
    let (tiled, (width, height), offsets, byte_counts) = if let (Some(tile_width), Some(tile_length)) = tile {
        let offsets = either(tag::TILE_OFFSETS, tag::STRIP_OFFSETS);
        (true, (tile_width, tile_length), offsets, either(tag::TILE_BYTE_COUNTS, tag::STRIP_BYTE_COUNTS))
    } else {
        let rows = file.integer(directory, tag::ROWS_PER_STRIP)?.unwrap_or(height);
        let byte_counts = directory.get(tag::STRIP_BYTE_COUNTS);
        (false, (width, rows.min(height)), directory.get(tag::STRIP_OFFSETS), byte_counts)
    };
    match offsets {
        _ if width == 0 || height == 0 => broken("its strips or tiles have no size"),
        Some(offsets) => Ok(Chunks { tiled, width, height, offsets, byte_counts }),
        None => broken("it has no pixels"),
    }
}
