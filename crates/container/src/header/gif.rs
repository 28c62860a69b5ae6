//! GIF 87a and 89a (`CompuServe`, 1990): the Logical Screen Descriptor, Image Descriptors, and the extensions that say how the
//! frames are shown.
//!
//! Files that violate the specification are read as browsers read them: the screen grows to hold the first frame, a byte that
//! begins no block ends the file, and so does the end of the file after the last whole frame.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, byte_reader::ByteReader, error::broken};
use darkroom_model::SourceFormat;

/// Labels of blocks (appendix A).
const EXTENSION_INTRODUCER: u8 = 0x21;
const IMAGE_SEPARATOR: u8 = 0x2C;
const GRAPHIC_CONTROL: u8 = 0xF9;
const APPLICATION_EXTENSION: u8 = 0xFF;

/// The structure of a GIF, as its decoder needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Width and height in pixels: the logical screen, grown to hold the first frame.
    pub size: (u32, u32),
    /// How many times an animation is shown; 0 means forever.
    pub plays: u32,
    /// The Global Color Table: red, green and blue of each entry. Empty where there is none.
    pub palette: Vec<u8>,
    /// The frames in their order; at least one.
    pub frames: Vec<Frame>,
}

/// One frame, not decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Left, top, width and height in pixels. May have no pixels, and may lie outside of the screen.
    pub rect: [u16; 4],
    /// Rows are stored in four passes (appendix E).
    pub is_interlaced: bool,
    /// The Local Color Table: red, green and blue of each entry.
    pub palette: Option<Vec<u8>>,
    /// The index that leaves a pixel unchanged.
    pub transparent: Option<u8>,
    /// What happens to the frame's rectangle after its delay.
    pub disposal: Disposal,
    /// How long the frame is shown, in hundredths of a second.
    pub delay: u16,
    /// Where the image data begins, with the LZW minimum code size: bytes from the start of the file.
    pub data: u64,
}

/// What happens to a frame's rectangle after its delay (section 23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disposal {
    /// It stays.
    #[default]
    Keep,
    /// It becomes transparent.
    Clear,
    /// What was there before the frame comes back: method 3, and 4, which browsers take for 3.
    Restore,
}

impl Frame {
    /// The pixels of the frame.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        let [_, _, width, height] = self.rect;
        u64::from(width) * u64::from(height)
    }
}

/// The image data of a frame, with its sub-blocks concatenated, after the LZW minimum code size. `data` is [`Frame::data`].
/// Ends at the end of the file.
#[must_use]
pub fn image_data(file: &[u8], data: u64) -> Option<(u8, Vec<u8>)> {
    let (minimum_code_size, mut rest) = file.get(usize::try_from(data).ok()?..)?.split_first()?;
    let mut joined = Vec::new();
    while let Some((length @ 1.., after)) = rest.split_first() {
        let (block, after) = after.split_at(usize::from(*length).min(after.len()));
        joined.extend_from_slice(block);
        rest = after;
    }
    Some((*minimum_code_size, joined))
}

pub(super) fn has_signature(start: &[u8]) -> bool {
    start.starts_with(b"GIF87a") || start.starts_with(b"GIF89a")
}

/// Frames may be larger than the logical screen or lie outside of it. They are decoded as a whole and clipped, so their own
/// pixels are limited too.
pub(super) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    let mut blocks = Blocks::new(input)?;
    let mut frames: u32 = 0;
    let (mut decoded, mut largest): (u64, u64) = (0, 0);
    while let Some(frame) = blocks.next_frame(limits)? {
        frames += 1;
        limits.check(Limit::Frames, frames.into())?;
        (decoded, largest) = (decoded + frame.pixels(), largest.max(frame.pixels()));
        limits.check(Limit::Pixels, decoded)?;
    }
    let (width, height) = blocks.size()?;
    Ok(Header {
        format: SourceFormat::Gif,
        width,
        height,
        frames,
        scans: 1,
        bits_per_pixel: 32,
        decoded_pixels: largest,
    })
}

/// Reads the whole structure. Takes memory for each frame.
pub(super) fn layout<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Layout, HeaderError> {
    let limits = HeaderLimits::default();
    let mut blocks = Blocks::new(input)?;
    let mut frames = Vec::new();
    while let Some(frame) = blocks.next_frame(&limits)? {
        frames.push(frame);
    }
    Ok(Layout { size: blocks.size()?, plays: blocks.plays, palette: blocks.palette, frames })
}

/// The blocks of a file.
struct Blocks<'a, 'b, R> {
    input: &'a mut ByteReader<'b, R>,
    screen: (u32, u32),
    palette: Vec<u8>,
    plays: u32,
    frames: u64,
}

impl<'a, 'b, R: BufRead + Seek> Blocks<'a, 'b, R> {
    /// Reads the Header, the Logical Screen Descriptor and the Global Color Table (sections 17 to 19).
    fn new(input: &'a mut ByteReader<'b, R>) -> Result<Self, HeaderError> {
        input.skip_exact(6)?;
        let screen = (input.le16()?.into(), input.le16()?.into());
        let [flags, _, _] = input.array()?;
        let palette = input.bytes(color_table_size(flags))?;
        // Without an extension that says more, the frames are shown once.
        Ok(Self { input, screen, palette, plays: 1, frames: 0 })
    }

    /// Width and height of the picture.
    fn size(&self) -> Result<(u32, u32), HeaderError> {
        match self.screen {
            (1.., 1..) => Ok(self.screen),
            _ => broken("its width or height is 0"),
        }
    }

    /// Reads up to the end of the next frame. `None` at the trailer, and where what follows the last whole frame is no block.
    fn next_frame(&mut self, limits: &HeaderLimits) -> Result<Option<Frame>, HeaderError> {
        let mut frame = Frame::default();
        loop {
            match self.input.next_u8()? {
                Some(EXTENSION_INTRODUCER) => match self.extension(&mut frame) {
                    // An extension is of no use without a frame after it.
                    Err(HeaderError::Truncated { .. }) if self.frames > 0 => return Ok(None),
                    result => result?,
                },
                Some(IMAGE_SEPARATOR) => {
                    self.image(&mut frame, limits)?;
                    self.frames += 1;
                    return Ok(Some(frame));
                }
                _ if self.frames > 0 => return Ok(None),
                Some(_) => return broken("it has no frame"),
                None => return Err(HeaderError::Truncated { format: SourceFormat::Gif.name() }),
            }
        }
    }

    /// An Image Descriptor, its colour table and its data (sections 20 to 22).
    fn image(&mut self, frame: &mut Frame, limits: &HeaderLimits) -> Result<(), HeaderError> {
        frame.rect = [self.input.le16()?, self.input.le16()?, self.input.le16()?, self.input.le16()?];
        if self.frames == 0 {
            // Browsers let the screen grow to the right and bottom edge of the first frame.
            let [left, top, width, height] = frame.rect.map(u32::from);
            self.screen = (self.screen.0.max(left + width), self.screen.1.max(top + height));
        }
        limits.check(Limit::Pixels, frame.pixels())?;
        let flags = self.input.u8()?;
        frame.is_interlaced = flags & 0x40 != 0;
        let size = color_table_size(flags);
        frame.palette = if size > 0 { Some(self.input.bytes(size)?) } else { None };
        frame.data = self.input.position()?;
        self.input.u8()?; // LZW minimum code size
        loop {
            match self.input.next_u8()? {
                Some(length @ 1..) => self.input.skip_exact(length.into())?,
                // The end of the file ends the data too; whether it is complete shows when it is decoded.
                Some(0) | None => return Ok(()),
            }
        }
    }

    /// An extension after its introducer. Those of unknown labels are skipped.
    fn extension(&mut self, frame: &mut Frame) -> Result<(), HeaderError> {
        let label = self.input.u8()?;
        let mut block = self.sub_block()?;
        match (label, block.as_slice()) {
            // Packed fields, delay, transparent index (section 23).
            (GRAPHIC_CONTROL, [flags, low, high, transparent]) => {
                frame.disposal = match flags >> 2 & 7 {
                    2 => Disposal::Clear,
                    3 | 4 => Disposal::Restore,
                    _ => Disposal::Keep,
                };
                frame.transparent = (flags & 1 != 0).then_some(*transparent);
                frame.delay = u16::from_le_bytes([*low, *high]);
            }
            (APPLICATION_EXTENSION, b"NETSCAPE2.0" | b"ANIMEXTS1.0") => {
                block = self.sub_block()?;
                if let [1, low, high] = block.as_slice() {
                    // The file counts repetitions after the first showing; 0 means forever. The last of several blocks counts.
                    let repetitions = u16::from_le_bytes([*low, *high]);
                    self.plays = if repetitions == 0 { 0 } else { u32::from(repetitions) + 1 };
                }
            }
            _ => {}
        }
        while !block.is_empty() {
            block = self.sub_block()?;
        }
        Ok(())
    }

    /// The next sub-block; empty where it is the terminator.
    fn sub_block(&mut self) -> Result<Vec<u8>, HeaderError> {
        let length = self.input.u8()?;
        self.input.bytes(length.into())
    }
}

/// The size in bytes of the colour table that the packed fields of a descriptor declare; 0 where there is none.
fn color_table_size(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}
