//! GIF.

use crate::Rgb;

/// A frame of a [`gif()`].
#[derive(Clone, Debug)]
pub struct GifFrame {
    /// Left, top, width, height.
    pub place: [u16; 4],
    /// The colour of all pixels; `None`: transparent.
    pub colour: Option<Rgb>,
    /// Delay in hundredths of a second.
    pub delay: u16,
    /// Disposal method.
    pub dispose: gif::DisposalMethod,
}

/// A GIF of frames with one colour each.
pub fn gif(width: u16, height: u16, repeat: gif::Repeat, frames: &[GifFrame]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, width, height, &[]).expect("a header into memory");
    encoder.set_repeat(repeat).expect("into memory");
    for GifFrame { place: [left, top, width, height], colour, delay, dispose } in frames {
        let frame = gif::Frame {
            left: *left,
            top: *top,
            width: *width,
            height: *height,
            delay: *delay,
            dispose: *dispose,
            transparent: colour.is_none().then_some(0),
            palette: Some([colour.unwrap_or_default(), [0; 3]].concat()),
            buffer: vec![0; usize::from(*width) * usize::from(*height)].into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("a frame into memory");
    }
    drop(encoder);
    file
}
