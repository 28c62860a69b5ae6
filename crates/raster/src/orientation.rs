//! Rotation by quarter turns and mirroring, as in the EXIF orientation tag.

use crate::{Raster, Region};

/// A rotation by quarter turns, with or without mirroring: the EXIF orientation tag says which one turns the stored picture
/// upright (CIPA DC-008-2019, tag 274). The default leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Exchange rows and columns. Applied first.
    pub transpose: bool,
    /// Exchange left and right, after the transposition.
    pub mirror: bool,
    /// Exchange top and bottom, after the transposition.
    pub flip: bool,
}

impl Orientation {
    /// From the value of the tag, 1 to 8; every other value is the default.
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

    /// This orientation followed by `next`, as one.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let (mirror, flip) = if next.transpose { (self.flip, self.mirror) } else { (self.mirror, self.flip) };
        Self { transpose: self.transpose ^ next.transpose, mirror: mirror ^ next.mirror, flip: flip ^ next.flip }
    }

    /// The orientation that reverts this one.
    fn inverse(self) -> Self {
        let (mirror, flip) = if self.transpose { (self.flip, self.mirror) } else { (self.mirror, self.flip) };
        Self { transpose: self.transpose, mirror, flip }
    }

    /// Maps a region of the input, whose width and height are `size`, to the output.
    pub fn map_region(self, region: Region, size: (f64, f64)) -> Region {
        let size = self.map_size(size);
        let (left, top) = self.map_size((region.left, region.top));
        let (width, height) = self.map_size((region.width, region.height));
        let left = if self.mirror { size.0 - left - width } else { left };
        let top = if self.flip { size.1 - top - height } else { top };
        Region { left, top, width, height }
    }

    /// Maps a region of the output, whose width and height are `size`, back to the input.
    pub fn unmap_region(self, region: Region, size: (f64, f64)) -> Region {
        self.inverse().map_region(region, size)
    }

    /// Maps width and height of the input to those of the output, or back: exchanges them for a transposition.
    pub fn map_size<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// Rotates and mirrors a picture. Returns the same buffer where there is nothing to do.
    #[tracing::instrument(level = "trace", name = "orient", skip_all)]
    pub fn apply<T: Copy + Default>(self, stored: Raster<T>) -> Raster<T> {
        if self == Self::default() {
            return stored;
        }
        let count = stored.channels.count();
        let (width, height) = self.map_size((stored.width, stored.height));
        let mut upright = Raster::new(width, height, stored.channels);
        let row_length = upright.row_length();
        let mut put = |x: usize, y: usize, pixel: &[T]| {
            let x = if self.mirror { width as usize - 1 - x } else { x };
            let y = if self.flip { height as usize - 1 - y } else { y };
            upright.samples[y * row_length + x * count..][..count].copy_from_slice(pixel);
        };
        for (y, row) in stored.samples.chunks_exact(stored.row_length()).enumerate() {
            for (x, pixel) in row.chunks_exact(count).enumerate() {
                if self.transpose {
                    put(y, x, pixel);
                } else {
                    put(x, y, pixel);
                }
            }
        }
        upright
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "whole numbers")]

    use super::*;
    use crate::Channels;

    /// The samples of the upright picture for each tag.
    #[test]
    fn each_tag_rotates_and_mirrors_as_exif_defines() {
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
    fn a_combined_orientation_equals_the_two_in_succession() {
        let stored = Raster { width: 3, height: 2, channels: Channels::Gray, samples: vec![1, 2, 3, 4, 5, 6] };
        for (first, second) in (1..=8).flat_map(|first| (1..=8).map(move |second| (first, second))) {
            let (first, second) = (Orientation::from_tag(first), Orientation::from_tag(second));
            let (in_succession, combined) =
                (second.apply(first.apply(stored.clone())), first.then(second).apply(stored.clone()));
            assert_eq!(
                (in_succession.width, in_succession.samples),
                (combined.width, combined.samples),
                "{first:?} {second:?}"
            );
        }
    }

    #[test]
    fn a_region_is_mapped_back_to_the_pixels_it_comes_from() {
        let stored = Raster { width: 3, height: 2, channels: Channels::Gray, samples: vec![1, 2, 3, 4, 5, 6] };
        for tag in 1..=8 {
            let orientation = Orientation::from_tag(tag);
            let upright = orientation.apply(stored.clone());
            let region = Region { left: 1.0, top: 1.0, width: 1.0, height: 1.0 };
            let size = orientation.map_size((3.0, 2.0));
            let input = orientation.unmap_region(region, size);
            let is = |x: f64, y: f64| input.left == x && input.top == y;
            let index = (0..6_u8).find(|i| is(f64::from(i % 3), f64::from(i / 3))).map(usize::from);
            assert_eq!(stored.samples[index.unwrap()], upright.samples[upright.width as usize + 1], "tag {tag}");
            assert_eq!(orientation.map_region(input, (3.0, 2.0)), region, "tag {tag}");
        }
    }
}
