//! Turning a picture upright, as its EXIF orientation says, and further, as a recipe asks.

use crate::{Raster, Region};

/// How the stored picture must be turned to be upright: the EXIF orientation tag (CIPA DC-008, tag 274).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Rows become columns. Done first.
    pub transpose: bool,
    /// Left and right change places.
    pub mirror: bool,
    /// Top and bottom change places.
    pub flip: bool,
}

impl Orientation {
    /// From the value of the tag, 1 to 8; anything else means upright.
    pub fn from_tag(tag: u16) -> Self {
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

    /// A rotation by `quarter_turns` clockwise, then top and bottom exchanged (`flip`), then left and right (`flop`).
    #[must_use]
    pub fn rotation(quarter_turns: u8, flip: bool, flop: bool) -> Self {
        let turned = Self::from_tag(match quarter_turns % 4 {
            0 => 1,
            1 => 6,
            2 => 3,
            _ => 8,
        });
        turned.then(Self { transpose: false, mirror: flop, flip })
    }

    /// This, and then another on top of it, in one.
    pub fn then(self, next: Self) -> Self {
        let (mirror, flip) = if next.transpose { (self.flip, self.mirror) } else { (self.mirror, self.flip) };
        Self { transpose: self.transpose ^ next.transpose, mirror: mirror ^ next.mirror, flip: flip ^ next.flip }
    }

    /// What undoes this.
    fn inverse(self) -> Self {
        let (mirror, flip) = if self.transpose { (self.flip, self.mirror) } else { (self.mirror, self.flip) };
        Self { transpose: self.transpose, mirror, flip }
    }

    /// Where a part of a picture of `size` lies afterwards.
    pub fn place(self, part: Region, size: (f64, f64)) -> Region {
        let size = self.swap(size);
        let (left, top) = self.swap((part.left, part.top));
        let (width, height) = self.swap((part.width, part.height));
        let left = if self.mirror { size.0 - left - width } else { left };
        let top = if self.flip { size.1 - top - height } else { top };
        Region { left, top, width, height }
    }

    /// Where a part of what is afterwards a picture of `size` lies before.
    pub fn find(self, part: Region, size: (f64, f64)) -> Region {
        self.inverse().place(part, size)
    }

    /// The upright sides of what is stored with these, and the other way round.
    pub fn swap<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// The picture turned upright.
    #[tracing::instrument(level = "trace", name = "orient", skip_all)]
    pub fn apply<T: Copy + Default>(self, stored: Raster<T>) -> Raster<T> {
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
    #![allow(clippy::unwrap_used, clippy::float_cmp)] // whole numbers

    use super::*;
    use crate::Channels;

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

    #[test]
    fn two_turns_in_one_are_the_two_after_each_other() {
        let stored = Raster { width: 3, height: 2, channels: Channels::Gray, samples: vec![1, 2, 3, 4, 5, 6] };
        for (first, second) in (1..=8).flat_map(|first| (1..=8).map(move |second| (first, second))) {
            let (first, second) = (Orientation::from_tag(first), Orientation::from_tag(second));
            let (apart, together) =
                (second.apply(first.apply(stored.clone())), first.then(second).apply(stored.clone()));
            assert_eq!((apart.width, apart.samples), (together.width, together.samples), "{first:?} {second:?}");
        }
    }

    #[test]
    fn a_part_is_found_where_its_pixels_come_from() {
        let stored = Raster { width: 3, height: 2, channels: Channels::Gray, samples: vec![1, 2, 3, 4, 5, 6] };
        for tag in 1..=8 {
            let orientation = Orientation::from_tag(tag);
            let upright = orientation.apply(stored.clone());
            let part = Region { left: 1.0, top: 1.0, width: 1.0, height: 1.0 };
            let size = orientation.swap((3.0, 2.0));
            let found = orientation.find(part, size);
            let is = |x: f64, y: f64| found.left == x && found.top == y;
            let index = (0..6_u8).find(|i| is(f64::from(i % 3), f64::from(i / 3))).map(usize::from);
            assert_eq!(stored.samples[index.unwrap()], upright.samples[upright.width as usize + 1], "tag {tag}");
            assert_eq!(orientation.place(found, (3.0, 2.0)), part, "tag {tag}");
        }
    }
}
