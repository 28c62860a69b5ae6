//! A file, with everything that is known before its pixels are decoded.

use std::{io::Cursor, iter};

use darkroom_container::header::{self, Header, HeaderError, Limit};
use darkroom_raster::{Orientation, Samples};

use crate::{
    Limits, RenderError,
    caught::catch_panic,
    codecs::{self, DecodeRequest, Decoded, Metadata},
};

/// A file whose header has passed its limits.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) header: Header,
    pub(crate) metadata: Metadata,
    /// The most scans of a JPEG that are decoded.
    max_scans: u32,
    /// See [`Limits::memory`].
    max_memory: Option<u64>,
}

/// The frames of a file, decoded one at a time; one for a still picture.
pub(crate) struct SourceFrames<'a> {
    /// How many times an animation is shown; 0 means forever.
    pub(crate) plays: u32,
    pub(crate) frames: Box<dyn Iterator<Item = Result<SourceFrame, RenderError>> + 'a>,
}

/// One decoded frame.
pub(crate) struct SourceFrame {
    pub(crate) decoded: Decoded,
    /// How long it is shown; 0 for a still picture.
    pub(crate) milliseconds: u32,
}

impl<'a> Source<'a> {
    pub(crate) fn open(file: &'a [u8], limits: &Limits) -> Result<Self, RenderError> {
        let mut header = header::read(&mut Cursor::new(file), &limits.header)?;
        let codec = codecs::decoder(header.format);
        header.frames = catch_panic(header.format, || codec.frames(file, &header))?;
        check_frames(&header, limits)?;
        let metadata = catch_panic(header.format, || codec.metadata(file, &header))?;
        Ok(Self { file, header, metadata, max_scans: limits.header.scans, max_memory: limits.memory })
    }

    /// Width and height in pixels after orientation.
    pub(crate) fn upright_size(&self) -> (u32, u32) {
        self.metadata.orientation.map_size((self.header.width, self.header.height))
    }

    pub(crate) fn is_animated(&self) -> bool {
        self.header.is_animated()
    }

    /// The file's EXIF block, unparsed.
    pub(crate) fn exif(&self) -> Option<Vec<u8>> {
        let format = self.header.format;
        catch_panic(format, || Ok(codecs::decoder(format).exif(self.file, &self.header))).ok().flatten()
    }

    /// Decodes; a still picture at `at_least` this width and height, in pixels before orientation, where that is cheaper.
    pub(crate) fn frames(&self, at_least: (f64, f64)) -> Result<SourceFrames<'a>, RenderError> {
        if self.is_animated() {
            let format = self.header.format;
            let animation = catch_panic(format, || {
                codecs::decoder(format).open_animation(self.file, &self.header, self.max_memory)
            })?;
            let mut frames = animation.frames;
            let next = move || catch_panic(format, || frames.next().transpose()).transpose();
            let frames = iter::from_fn(next).map(|frame| {
                let frame = frame?;
                Ok(SourceFrame { decoded: Samples::Eight(frame.picture).into(), milliseconds: frame.milliseconds })
            });
            return Ok(SourceFrames { plays: animation.plays, frames: Box::new(frames) });
        }
        let Self { max_scans, max_memory, .. } = *self;
        let request = DecodeRequest { metadata: &self.metadata, at_least, max_scans, max_memory };
        let decoded = catch_panic(self.header.format, || codecs::decode(self.file, &self.header, &request))?;
        let frames = Box::new(iter::once(Ok(SourceFrame { decoded, milliseconds: 0 })));
        Ok(SourceFrames { plays: 1, frames })
    }

    /// The first frame, or the still picture.
    pub(crate) fn first_frame(&self, at_least: (f64, f64)) -> Result<Decoded, RenderError> {
        let frame = self.frames(at_least)?.frames.next().transpose()?;
        Ok(frame.ok_or_else(|| RenderError::internal("a file without a frame passed its header's checks"))?.decoded)
    }
}

/// Checks what the header did not tell.
fn check_frames(header: &Header, limits: &Limits) -> Result<(), RenderError> {
    for (limit, found) in [(Limit::Frames, header.frames.into()), (Limit::Pixels, header.pixels())] {
        let max = limits.header.get(limit);
        if found > max {
            return Err(HeaderError::TooLarge { limit, max, found }.into());
        }
    }
    Ok(())
}

/// The orientation, where it is found without parsing the whole file.
pub(crate) fn quick_orientation(file: &[u8], header: &Header) -> Option<Orientation> {
    codecs::decoder(header.format).quick_orientation(file)
}
