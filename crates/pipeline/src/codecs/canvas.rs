//! Where the frames of an animation are put together.

use darkroom_raster::{Channels, Raster, alpha_over};

/// Where a frame lies. It may stick out of the canvas; what does is not seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) left: i64,
    pub(crate) top: i64,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A picture with straight alpha, transparent at first.
pub(crate) struct Canvas {
    current: Raster<u8>,
    saved: Option<Vec<u8>>,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { current: Raster::new(width, height, Channels::Rgba), saved: None }
    }

    /// A copy of what is seen.
    pub(crate) fn picture(&self) -> Raster<u8> {
        self.current.clone()
    }

    /// Remembers what is seen, for [`Self::restore`].
    pub(crate) fn save(&mut self) {
        self.saved = Some(self.current.samples.clone());
    }

    /// Goes back to what was saved.
    pub(crate) fn restore(&mut self) {
        if let Some(saved) = self.saved.take() {
            self.current.samples = saved;
        }
    }

    /// Makes a place transparent.
    pub(crate) fn clear(&mut self, place: Place) {
        self.each_row(place, |row, _| row.fill(0));
    }

    /// Puts a frame in its place, its transparency too.
    pub(crate) fn replace(&mut self, place: Place, rgba: &[u8]) {
        self.each_row(place, |row, at| row.copy_from_slice(&rgba[at..at + row.len()]));
    }

    /// Lays a frame over what is there.
    pub(crate) fn blend(&mut self, place: Place, rgba: &[u8]) {
        self.each_row(place, |row, at| {
            for (below, above) in row.chunks_exact_mut(4).zip(rgba[at..].chunks_exact(4)) {
                if let [below @ .., ground] = below {
                    alpha_over(below, ground, above);
                }
            }
        });
    }

    /// Calls with each row of the canvas that a place covers, and where that row begins in the frame.
    fn each_row(&mut self, place: Place, mut visit: impl FnMut(&mut [u8], usize)) {
        let clip = |start: i64, length: u32, end: u32| {
            let stop = (start + i64::from(length)).clamp(0, end.into());
            (start.clamp(0, stop), stop)
        };
        let (left, right) = clip(place.left, place.width, self.current.width);
        let (top, bottom) = clip(place.top, place.height, self.current.height);
        let index = |value: i64| usize::try_from(value).unwrap_or(0);
        let row_length = self.current.row_length();
        for y in top..bottom {
            let row = &mut self.current.samples[index(y) * row_length..][index(left) * 4..index(right) * 4];
            visit(row, (index(y - place.top) * place.width as usize + index(left - place.left)) * 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 4] = [255, 0, 0, 255];
    const CLEAR: [u8; 4] = [0; 4];

    #[test]
    fn a_frame_that_sticks_out_is_seen_in_part() {
        let mut canvas = Canvas::new(2, 2);
        let place = Place { left: 1, top: -1, width: 3, height: 2 };
        let frame: Vec<u8> = (0..6).flat_map(|i| [i, 0, 0, 255]).collect();
        canvas.replace(place, &frame);
        assert_eq!(canvas.picture().samples, [CLEAR, [3, 0, 0, 255], CLEAR, CLEAR].concat());
    }

    #[test]
    fn a_place_wholly_outside_changes_nothing() {
        let mut canvas = Canvas::new(2, 2);
        canvas.blend(Place { left: 9, top: 9, width: 1, height: 1 }, &RED);
        canvas.clear(Place { left: -5, top: 0, width: 2, height: 2 });
        assert_eq!(canvas.picture().samples, [0; 16]);
    }

    #[test]
    fn half_transparent_over_nothing_keeps_its_colour() {
        let mut canvas = Canvas::new(1, 1);
        canvas.blend(Place { left: 0, top: 0, width: 1, height: 1 }, &[200, 100, 0, 128]);
        assert_eq!(canvas.picture().samples, [200, 100, 0, 128]);
    }
}
