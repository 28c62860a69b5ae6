//! Image file directories (TIFF 6.0, section 2), and which of a file holds its picture.

use std::io::{BufRead, Seek};

use darkroom_model::SourceFormat;

use crate::header::{HeaderError, byte_reader::ByteReader, error::broken};

/// The most directory entries to read; files have about twenty.
const MAX_ENTRIES: u16 = 1_024;

/// The most directories to look through for the picture.
const MAX_DIRECTORIES: usize = 64;

/// The values of a directory entry. They are in the file, so that reading a directory takes constant memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// Big-endian byte order.
    pub(super) big_endian: bool,
    /// The field type (section 2): 1 BYTE, 3 SHORT, 4 LONG, 5 RATIONAL, 7 UNDEFINED, 13 IFD.
    pub(super) field_type: u16,
    /// The number of values.
    pub count: u32,
    /// The position of the first value from the start of the file.
    pub(super) at: u64,
}

impl Values {
    /// The value `index`, of an integer type, or of the numerator and the denominator of a RATIONAL. `None` past the last one, or
    /// past the end of the file.
    pub fn get(&self, file: &[u8], index: u32) -> Option<u32> {
        let length = match self.field_type {
            1 | 7 => 1,
            3 => 2,
            4 | 5 | 13 => 4,
            _ => return None,
        };
        let parts = if self.field_type == 5 { 2 } else { 1 };
        if u64::from(index) >= u64::from(self.count) * parts {
            return None;
        }
        let at = usize::try_from(self.at + u64::from(index) * length).ok()?;
        let bytes = file.get(at..at.checked_add(usize::try_from(length).ok()?)?)?;
        let append = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) })
    }

    /// The values of type BYTE or UNDEFINED. `None` where the file ends before them.
    pub fn bytes<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let at = usize::try_from(self.at).ok()?;
        file.get(at..at.checked_add(usize::try_from(self.count).ok()?)?)
    }
}

/// One image file directory.
pub(super) struct Directory {
    entries: Vec<(u16, Values)>,
    /// The offset of the next directory; 0 after the last one.
    next: u32,
}

/// A TIFF that is read directory by directory.
pub(super) struct Directories<'a, 'r, R> {
    pub(super) input: &'a mut ByteReader<'r, R>,
    /// The position of the file in the reader.
    pub(super) start: u64,
    /// The length of the file.
    pub(super) length: u64,
    pub(super) big_endian: bool,
}

impl<R: BufRead + Seek> Directories<'_, '_, R> {
    /// The directory at an offset.
    pub(super) fn read(&mut self, offset: u32) -> Result<Directory, HeaderError> {
        if u64::from(offset) >= self.length {
            return Err(HeaderError::Truncated { format: SourceFormat::Tiff.name() });
        }
        self.input.seek_to(self.start + u64::from(offset))?;
        let count = self.short()?;
        if count == 0 || count > MAX_ENTRIES {
            return broken("its directory has an invalid number of entries");
        }
        let mut entries = Vec::with_capacity(count.into());
        for entry in 0..u64::from(count) {
            let (tag, field_type, count, offset_of_values) = (self.short()?, self.short()?, self.long()?, self.long()?);
            let value_length = match field_type {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                5 | 10 | 12 => 8,
                _ => 4,
            };
            // Values of at most four bytes are in the entry itself.
            let at = if u64::from(count) * value_length <= 4 {
                u64::from(offset) + 2 + 12 * entry + 8
            } else {
                offset_of_values.into()
            };
            entries.push((tag, Values { big_endian: self.big_endian, field_type, count, at }));
        }
        // Some files end with their last entry.
        let next = self.long().unwrap_or(0);
        Ok(Directory { entries, next })
    }

    /// The directory of the picture: the first one in the file, or of the first one's `SubIFDs`, that is neither a reduced version
    /// nor a mask of another picture. The first directory where all are; then it is all that there is.
    pub(super) fn picture(&mut self, first_offset: u32) -> Result<Directory, HeaderError> {
        let mut first = self.read(first_offset)?;
        if !self.is_secondary(&first)? {
            return Ok(first);
        }
        let mut next = first.next;
        for _ in 0..MAX_DIRECTORIES {
            if next == 0 {
                break;
            }
            // The rest of a damaged chain does not matter where the first picture is whole.
            let Ok(directory) = self.read(next) else { break };
            if !self.is_secondary(&directory)? {
                return Ok(directory);
            }
            next = directory.next;
        }
        if let Some(offsets) = first.get(tag::SUB_IFDS) {
            for offset in self.integers(offsets, MAX_DIRECTORIES)? {
                let Ok(directory) = self.read(offset) else { break };
                if !self.is_secondary(&directory)? {
                    // A raw file's version is in its first directory.
                    first.entries.retain(|(tag, _)| *tag == tag::DNG_VERSION);
                    return Ok(Directory { entries: [directory.entries, first.entries].concat(), next: 0 });
                }
            }
        }
        Ok(first)
    }

    /// `NewSubfileType`, bits 0 and 2: a reduced-resolution version of another picture, or a transparency mask.
    fn is_secondary(&mut self, directory: &Directory) -> Result<bool, HeaderError> {
        Ok(self.integer(directory, tag::NEW_SUBFILE_TYPE)?.is_some_and(|kind| kind & 0b101 != 0))
    }

    /// The first value of a tag.
    pub(super) fn integer(&mut self, directory: &Directory, tag: u16) -> Result<Option<u32>, HeaderError> {
        match directory.get(tag) {
            Some(values) => Ok(self.integers(values, 1)?.first().copied()),
            None => Ok(None),
        }
    }

    /// At most `max` values of an integer type; those of RATIONALs are numerator and denominator. None of another type.
    pub(super) fn integers(&mut self, values: Values, max: usize) -> Result<Vec<u32>, HeaderError> {
        let parts = if values.field_type == 5 { 2 } else { 1 };
        let count = (values.count as usize).saturating_mul(parts).min(max);
        self.input.seek_to(self.start + values.at)?;
        (0..count)
            .map_while(|_| match values.field_type {
                1 | 7 => Some(self.input.u8().map(u32::from)),
                3 => Some(self.short().map(u32::from)),
                4 | 5 | 13 => Some(self.long()),
                _ => None,
            })
            .collect()
    }

    fn short(&mut self) -> Result<u16, HeaderError> {
        if self.big_endian { self.input.be16() } else { self.input.le16() }
    }

    fn long(&mut self) -> Result<u32, HeaderError> {
        if self.big_endian { self.input.be32() } else { self.input.le32() }
    }
}

impl Directory {
    pub(super) fn get(&self, wanted: u16) -> Option<Values> {
        self.entries.iter().find_map(|(tag, values)| (*tag == wanted && values.count > 0).then_some(*values))
    }
}

/// Tags (TIFF 6.0; `SubIFDs`: Adobe `PageMaker` 6.0 TIFF Technical Notes; `JPEGTables`: TIFF Technical Note 2; `DNGVersion`: DNG 1.7;
/// the ICC profile: ICC.1:2022, annex B.5).
pub(super) mod tag {
    pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(crate) const IMAGE_WIDTH: u16 = 256;
    pub(crate) const IMAGE_LENGTH: u16 = 257;
    pub(crate) const BITS_PER_SAMPLE: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC_INTERPRETATION: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(crate) const PLANAR_CONFIGURATION: u16 = 284;
    pub(crate) const T4_OPTIONS: u16 = 292;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_LENGTH: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
    pub(crate) const SUB_IFDS: u16 = 330;
    pub(crate) const INK_SET: u16 = 332;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const YCBCR_COEFFICIENTS: u16 = 529;
    pub(crate) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(crate) const REFERENCE_BLACK_WHITE: u16 = 532;
    pub(crate) const ICC_PROFILE: u16 = 34_675;
    pub(crate) const DNG_VERSION: u16 = 50_706;
}
