//! GIF (87a and 89a): the structure by `darkroom_container::header::gif`, LZW by weezl. Frames are composited as browsers do
//! it.

use std::io::Cursor;

use darkroom_container::header::{
    self, Header,
    gif::{Disposal, Frame, Layout, image_data},
};
use darkroom_raster::Samples;
use weezl::{BitOrder, LzwStatus, decode::Decoder};

use super::{
    codec::{Animation, AnimationFrame, Codec, DecodeRequest, Decoded, Metadata, check_size},
    frame_canvas::{FrameCanvas, FrameRect},
};
use crate::RenderError;

/// The LZW minimum code sizes that are read. Codes of more than 8 bits do not fit into an index; the specification has 2 to 8.
const CODE_SIZES: std::ops::RangeInclusive<u8> = 1..=8;

/// A pixel whose index exceeds its colour table, or has none, as in browsers.
const OUTSIDE_OF_PALETTE: [u8; 4] = [0, 0, 0, 255];

pub(super) struct GifCodec;

impl Codec for GifCodec {
    fn metadata(&self, _: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        Ok(Metadata::default())
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let mut frames = self.open_animation(file, header, None)?.frames;
        let frame = frames.next().unwrap_or_else(|| Err(RenderError::damaged("GIF", "no frame")))?;
        Ok(Samples::Eight(frame.picture).into())
    }

    fn open_animation<'a>(
        &self,
        file: &'a [u8],
        header: &Header,
        _: Option<u64>,
    ) -> Result<Animation<'a>, RenderError> {
        let Layout { size, plays, palette, frames } = header::gif_layout(&mut Cursor::new(file))?;
        check_size(header, size, "GIF")?;
        let mut canvas = FrameCanvas::new(header.width, header.height);
        let frames = frames.into_iter().map(move |frame| draw(file, &frame, &palette, &mut canvas));
        Ok(Animation { plays, frames: Box::new(frames) })
    }
}

/// Composites a frame, and disposes of it after a copy is made.
fn draw(
    file: &[u8],
    frame: &Frame,
    global_palette: &[u8],
    canvas: &mut FrameCanvas,
) -> Result<AnimationFrame, RenderError> {
    let [left, top, width, height] = frame.rect;
    let rect = FrameRect { left: left.into(), top: top.into(), width: width.into(), height: height.into() };
    if frame.disposal == Disposal::Restore {
        canvas.save();
    }
    if frame.pixels() > 0 {
        canvas.blend(rect, &rgba(frame, &indices(file, frame)?, global_palette));
    }
    let picture = canvas.picture();
    match frame.disposal {
        Disposal::Keep => {}
        Disposal::Clear => canvas.clear(rect),
        Disposal::Restore => canvas.restore(),
    }
    Ok(AnimationFrame { picture, milliseconds: u32::from(frame.delay) * 10 })
}

/// The colour indices of a frame in the order in which they are stored.
fn indices(file: &[u8], frame: &Frame) -> Result<Vec<u8>, RenderError> {
    let (code_size, data) =
        image_data(file, frame.data).ok_or_else(|| RenderError::truncated("GIF", "a frame has no data"))?;
    if !CODE_SIZES.contains(&code_size) {
        return Err(RenderError::damaged("GIF", format!("an LZW code size of {code_size}")));
    }
    let length = usize::try_from(frame.pixels()).map_err(RenderError::internal)?;
    let mut indices = vec![0; length];
    let mut decoder = Decoder::new(BitOrder::Lsb, code_size);
    let (mut read, mut written) = (0, 0);
    while written < length {
        let result = decoder.decode_bytes(&data[read..], &mut indices[written..]);
        read += result.consumed_in;
        written += result.consumed_out;
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(_) => break,
            Err(error) => return Err(RenderError::damaged("GIF", error)),
        }
    }
    if written < length {
        return Err(RenderError::truncated("GIF", format!("a frame has {written} of {length} pixels")));
    }
    Ok(indices)
}

/// The pixels of a frame from the top to the bottom.
fn rgba(frame: &Frame, indices: &[u8], global_palette: &[u8]) -> Vec<u8> {
    let palette = frame.palette.as_deref().unwrap_or(global_palette);
    let mut colours = [OUTSIDE_OF_PALETTE; 256];
    for (colour, entry) in colours.iter_mut().zip(palette.chunks_exact(3)) {
        colour[..3].copy_from_slice(entry);
    }
    if let Some(transparent) = frame.transparent {
        colours[usize::from(transparent)] = [0; 4];
    }
    let [_, _, width, height] = frame.rect.map(usize::from);
    let mut rgba = vec![0; indices.len() * 4];
    for (row, y) in indices.chunks_exact(width).zip(stored_rows(height, frame.is_interlaced)) {
        for (pixel, index) in rgba[y * width * 4..].chunks_exact_mut(4).zip(row) {
            pixel.copy_from_slice(&colours[usize::from(*index)]);
        }
    }
    rgba
}

/// The rows of a frame in the order in which they are stored (appendix E).
fn stored_rows(height: usize, is_interlaced: bool) -> impl Iterator<Item = usize> {
    let passes: &[(usize, usize)] = if is_interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
    passes.iter().flat_map(move |(first, step)| (*first..height).step_by(*step))
}

#[cfg(test)]
mod tests {
    use darkroom_container::header::HeaderLimits;
    use darkroom_test_pictures::RawGif;

    use super::*;

    #[test]
    fn disposal_methods_3_and_4_of_a_gif_restore_what_was_there() {
        let (red, green) = ([255, 0, 0, 255], [0, 255, 0, 255]);
        for (method, expected) in [(0, green), (1, green), (2, [0; 4]), (3, red), (4, red), (5, green), (7, green)] {
            let file = RawGif::new(6, 4, &[[255, 0, 0], [0, 255, 0]])
                .control(1, None)
                .image([0, 0, 6, 4], &[], 0)
                .control(method, None)
                .image([0, 0, 6, 4], &[], 1)
                .control(1, None)
                .image([0, 0, 1, 1], &[], 0)
                .finish();
            let header = header::read(&mut Cursor::new(&file), &HeaderLimits::default()).unwrap();
            let animation = GifCodec.open_animation(&file, &header, None).unwrap();
            let last = animation.frames.last().unwrap().unwrap().picture;
            assert_eq!(last.samples[last.samples.len() - 4..], expected, "method {method}");
        }
    }
}
