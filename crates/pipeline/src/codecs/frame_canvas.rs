//! Compositing the frames of an animation.

use darkroom_raster::{Channels, Raster, alpha_over};

/// The rectangle of a frame, in pixels of the canvas. Parts outside of the canvas are clipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRect {
    pub(crate) left: i64,
    pub(crate) top: i64,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// The canvas of an animation: RGBA with straight alpha, transparent at first.
pub(crate) struct FrameCanvas {
    current: Raster<u8>,
    saved: Option<Vec<u8>>,
}

impl FrameCanvas {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { current: Raster::new(width, height, Channels::Rgba), saved: None }
    }

    /// A copy of the current canvas.
    pub(crate) fn picture(&self) -> Raster<u8> {
        self.current.clone()
    }

    /// Saves the canvas for [`Self::restore`].
    pub(crate) fn save(&mut self) {
        self.saved = Some(self.current.samples.clone());
    }

    /// Restores the saved canvas.
    pub(crate) fn restore(&mut self) {
        if let Some(saved) = self.saved.take() {
            self.current.samples = saved;
        }
    }

    /// Makes a rectangle transparent.
    pub(crate) fn clear(&mut self, rect: FrameRect) {
        self.each_row(rect, |row, _| row.fill(0));
    }

    /// Replaces the pixels of a rectangle, alpha included.
    pub(crate) fn replace(&mut self, rect: FrameRect, rgba: &[u8]) {
        self.each_row(rect, |row, at| row.copy_from_slice(&rgba[at..at + row.len()]));
    }

    /// Composites a frame over the canvas.
    pub(crate) fn blend(&mut self, rect: FrameRect, rgba: &[u8]) {
        self.each_row(rect, |row, at| {
            for (below, above) in row.chunks_exact_mut(4).zip(rgba[at..].chunks_exact(4)) {
                if let [below @ .., alpha] = below {
                    alpha_over(below, alpha, above);
                }
            }
        });
    }

    /// Calls `visit` with each row of the canvas that the rectangle covers, and the index where that row begins in the frame.
    fn each_row(&mut self, rect: FrameRect, mut visit: impl FnMut(&mut [u8], usize)) {
        let clip = |start: i64, length: u32, end: u32| {
            let stop = (start + i64::from(length)).clamp(0, end.into());
            (start.clamp(0, stop), stop)
        };
        let (left, right) = clip(rect.left, rect.width, self.current.width);
        let (top, bottom) = clip(rect.top, rect.height, self.current.height);
        let index = |value: i64| usize::try_from(value).unwrap_or(0);
        let row_length = self.current.row_length();
        for y in top..bottom {
            let row = &mut self.current.samples[index(y) * row_length..][index(left) * 4..index(right) * 4];
            visit(row, (index(y - rect.top) * rect.width as usize + index(left - rect.left)) * 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 4] = [255, 0, 0, 255];
    const CLEAR: [u8; 4] = [0; 4];

    #[test]
    fn a_frame_partly_outside_is_clipped() {
        let mut canvas = FrameCanvas::new(2, 2);
        let rect = FrameRect { left: 1, top: -1, width: 3, height: 2 };
        let frame: Vec<u8> = (0..6).flat_map(|i| [i, 0, 0, 255]).collect();
        canvas.replace(rect, &frame);
        assert_eq!(canvas.picture().samples, [CLEAR, [3, 0, 0, 255], CLEAR, CLEAR].concat());
    }

    #[test]
    fn a_rectangle_outside_changes_nothing() {
        let mut canvas = FrameCanvas::new(2, 2);
        canvas.blend(FrameRect { left: 9, top: 9, width: 1, height: 1 }, &RED);
        canvas.clear(FrameRect { left: -5, top: 0, width: 2, height: 2 });
        assert_eq!(canvas.picture().samples, [0; 16]);
    }

    #[test]
    fn a_translucent_pixel_on_a_transparent_one_keeps_its_colour() {
        let mut canvas = FrameCanvas::new(1, 1);
        canvas.blend(FrameRect { left: 0, top: 0, width: 1, height: 1 }, &[200, 100, 0, 128]);
        assert_eq!(canvas.picture().samples, [200, 100, 0, 128]);
    }
}
