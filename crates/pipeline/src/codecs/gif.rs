//! GIF, its frames composed as browsers compose them.

use darkroom_container::header::Header;
use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit, Repeat};

use crate::{
    RenderError,
    codecs::{
        Animation, Frame,
        canvas::{Canvas, Place},
    },
};

fn fault(error: DecodingError) -> RenderError {
    match error {
        DecodingError::Io(io) => RenderError::truncated("GIF", io),
        error => RenderError::broken("GIF", error),
    }
}

pub(super) fn animation<'a>(bytes: &'a [u8], header: &Header) -> Result<Animation<'a>, RenderError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // The header has bounded the size of every frame already.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(bytes).map_err(fault)?;
    let mut canvas = Canvas::new(header.width, header.height);
    let plays = match decoder.repeat() {
        Repeat::Infinite => 0,
        // The file counts how often it is repeated after the first time.
        Repeat::Finite(again) => u32::from(again) + 1,
    };
    let frames = (0..header.frames).map(move |_| next_frame(&mut decoder, &mut canvas));
    Ok(Animation { plays, frames: Box::new(frames) })
}

fn next_frame(decoder: &mut Decoder<&[u8]>, canvas: &mut Canvas) -> Result<Frame, RenderError> {
    let frame =
        decoder.read_next_frame().map_err(fault)?.ok_or_else(|| RenderError::truncated("GIF", "a frame is missing"))?;
    let place = Place {
        left: frame.left.into(),
        top: frame.top.into(),
        width: frame.width.into(),
        height: frame.height.into(),
    };
    if frame.dispose == DisposalMethod::Previous {
        canvas.save();
    }
    canvas.blend(place, &frame.buffer);
    let picture = canvas.picture();
    match frame.dispose {
        DisposalMethod::Any | DisposalMethod::Keep => {}
        DisposalMethod::Background => canvas.clear(place),
        DisposalMethod::Previous => canvas.restore(),
    }
    Ok(Frame { picture, milliseconds: u32::from(frame.delay) * 10 })
}
