//! Turning a picture upright, as its EXIF orientation says.

use super::raster::Raster;

/// How the stored picture must be turned to be upright: the EXIF orientation tag (CIPA DC-008, tag 274).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    /// Rows become columns. Done first.
    pub(crate) transpose: bool,
    /// Left and right change places.
    pub(crate) mirror: bool,
    /// Top and bottom change places.
    pub(crate) flip: bool,
}

impl Orientation {
    /// From the value of the tag, 1 to 8; anything else means upright.
    pub(crate) fn from_tag(tag: u16) -> Self {
        let (transpose, mirror, flip) = match tag {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { transpose, mirror, flip }
    }

    /// The upright sides of what is stored with these, and the other way round.
    pub(crate) fn swap<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// The picture turned upright.
    pub(crate) fn apply<T: Copy + Default>(self, stored: Raster<T>) -> Raster<T> {
        if self == Self::default() {
            return stored;
        }
        let count = stored.channels.count();
        let (width, height) = self.swap((stored.width, stored.height));
        let mut upright = Raster::new(width, height, stored.channels);
        let row_length = upright.row_length();
        let mut place = |x: usize, y: usize, pixel: &[T]| {
            let x = if self.mirror { width as usize - 1 - x } else { x };
            let y = if self.flip { height as usize - 1 - y } else { y };
            upright.samples[y * row_length + x * count..][..count].copy_from_slice(pixel);
        };
        for (y, row) in stored.samples.chunks_exact(stored.row_length()).enumerate() {
            for (x, pixel) in row.chunks_exact(count).enumerate() {
                if self.transpose {
                    place(y, x, pixel);
                } else {
                    place(x, y, pixel);
                }
            }
        }
        upright
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::raster::Channels;

    /// Where the stored top left corner is seen, and the pixel to its right, for each tag.
    #[test]
    fn each_tag_moves_the_corners_as_exif_says() {
        // 1 2 3
        // 4 5 6
        let stored = Raster { width: 3, height: 2, channels: Channels::Gray, samples: vec![1, 2, 3, 4, 5, 6] };
        for (tag, width, upright) in [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
            (9, 3, [1, 2, 3, 4, 5, 6]),
        ] {
            let turned = Orientation::from_tag(tag).apply(stored.clone());
            assert_eq!((turned.width, turned.samples.as_slice()), (width, &upright[..]), "tag {tag}");
        }
    }
}
