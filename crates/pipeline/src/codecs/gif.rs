//! GIF (87a and 89a). Frames are composited as browsers do it.

use darkroom_container::header::Header;
use darkroom_raster::Samples;
use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit, Repeat};

use super::{
    codec::{Animation, AnimationFrame, Codec, DecodeRequest, Decoded, Metadata},
    frame_canvas::{FrameCanvas, FrameRect},
};
use crate::RenderError;

pub(super) struct GifCodec;

impl Codec for GifCodec {
    fn metadata(&self, _: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        Ok(Metadata::default())
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let mut frames = self.open_animation(file, header)?.frames;
        let frame = frames.next().unwrap_or_else(|| Err(RenderError::damaged("GIF", "no frame")))?;
        Ok(Samples::Eight(frame.picture).into())
    }

    fn open_animation<'a>(&self, file: &'a [u8], header: &Header) -> Result<Animation<'a>, RenderError> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        // The header's limits bound the size of every frame already.
        options.set_memory_limit(MemoryLimit::Unlimited);
        let mut decoder = options.read_info(file).map_err(decode_error)?;
        let mut canvas = FrameCanvas::new(header.width, header.height);
        let plays = match decoder.repeat() {
            Repeat::Infinite => 0,
            // The file counts repetitions after the first showing.
            Repeat::Finite(repetitions) => u32::from(repetitions) + 1,
        };
        let frames = (0..header.frames).map(move |_| next_frame(&mut decoder, &mut canvas));
        Ok(Animation { plays, frames: Box::new(frames) })
    }
}

fn decode_error(error: DecodingError) -> RenderError {
    match error {
        DecodingError::OutOfMemory => RenderError::OutOfMemory("the GIF decoder failed"),
        DecodingError::Io(io) => RenderError::truncated("GIF", io),
        error => RenderError::damaged("GIF", error),
    }
}

fn next_frame(decoder: &mut Decoder<&[u8]>, canvas: &mut FrameCanvas) -> Result<AnimationFrame, RenderError> {
    let frame = decoder
        .read_next_frame()
        .map_err(decode_error)?
        .ok_or_else(|| RenderError::truncated("GIF", "a frame is missing"))?;
    let rect = FrameRect {
        left: frame.left.into(),
        top: frame.top.into(),
        width: frame.width.into(),
        height: frame.height.into(),
    };
    if frame.dispose == DisposalMethod::Previous {
        canvas.save();
    }
    canvas.blend(rect, &frame.buffer);
    let picture = canvas.picture();
    match frame.dispose {
        DisposalMethod::Any | DisposalMethod::Keep => {}
        DisposalMethod::Background => canvas.clear(rect),
        DisposalMethod::Previous => canvas.restore(),
    }
    Ok(AnimationFrame { picture, milliseconds: u32::from(frame.delay) * 10 })
}
