//! A box around the picture, and a background behind it.

use darkroom_raster::{Channels, Raster};

/// What a recipe asks for; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Mount {
    pub(crate) mat: Option<Mat>,
    /// What the picture and the box are laid on, in sRGB. `None`: the box is transparent.
    pub(crate) background: Option<[u8; 3]>,
}

/// A box that is at least as large as the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mat {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Which part of the room around the picture lies left of it and above it, 0 to 1.
    pub(crate) shares: (f64, f64),
}

impl Mount {
    /// The sides of what a picture becomes.
    pub(crate) fn sides(&self, picture: (u32, u32)) -> (u32, u32) {
        self.mat.map_or(picture, |mat| (mat.width, mat.height))
    }

    /// Mounts a picture of coded values with straight alpha.
    pub(crate) fn apply(&self, mut picture: Raster<u8>) -> Raster<u8> {
        if let Some(colour) = self.background {
            picture = picture.flatten(colour);
        }
        match self.mat {
            Some(mat) if (mat.width, mat.height) != (picture.width, picture.height) => {
                mat.around(&picture, self.background)
            }
            _ => picture,
        }
    }
}

impl Mat {
    fn around(self, picture: &Raster<u8>, background: Option<[u8; 3]>) -> Raster<u8> {
        let gray = picture.channels.without_alpha() == Channels::Gray;
        let (channels, ground): (_, &[u8]) = match &background {
            None if gray => (Channels::GrayAlpha, &[0; 2]),
            None => (Channels::Rgba, &[0; 4]),
            Some(colour) if gray && colour.iter().all(|value| *value == colour[0]) => (Channels::Gray, &colour[..1]),
            Some(colour) => (Channels::Rgb, colour),
        };
        let picture = picture.to_channels(channels);
        let samples = ground.repeat(self.width as usize * self.height as usize);
        let mut mounted = Raster { width: self.width, height: self.height, channels, samples };
        let left = before(self.width, picture.width, self.shares.0) as usize * channels.count();
        let top = before(self.height, picture.height, self.shares.1) as usize;
        let (row_length, length) = (mounted.row_length(), picture.row_length());
        let rows = mounted.samples.chunks_exact_mut(row_length).skip(top);
        for (row, own) in rows.zip(picture.samples.chunks_exact(length)) {
            row[left..][..length].copy_from_slice(own);
        }
        mounted
    }
}

/// Of what a length leaves free in a longer one, a share: what lies before it.
// Within the longer one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn before(outer: u32, inner: u32, share: f64) -> u32 {
    (f64::from(outer.saturating_sub(inner)) * share) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(channels: Channels, samples: Vec<u8>, shares: (f64, f64), background: Option<[u8; 3]>) -> Raster<u8> {
        let mat = Some(Mat { width: 3, height: 1, shares });
        Mount { mat, background }.apply(Raster { width: 1, height: 1, channels, samples })
    }

    #[test]
    fn the_picture_lies_where_it_is_asked_to_on_nothing_or_on_a_colour() {
        let found = mounted(Channels::Gray, vec![9], (0.5, 0.5), None);
        assert_eq!((found.channels, found.samples), (Channels::GrayAlpha, vec![0, 0, 9, 255, 0, 0]));
        let found = mounted(Channels::Gray, vec![9], (1.0, 0.0), Some([7; 3]));
        assert_eq!((found.channels, found.samples), (Channels::Gray, vec![7, 7, 9]));
        let found = mounted(Channels::Gray, vec![9], (0.0, 0.0), Some([1, 2, 3]));
        assert_eq!((found.channels, found.samples), (Channels::Rgb, vec![9, 9, 9, 1, 2, 3, 1, 2, 3]));
    }

    #[test]
    fn what_is_transparent_shows_the_background() {
        let found = mounted(Channels::Rgba, vec![200, 100, 0, 0], (0.5, 0.5), Some([1, 2, 3]));
        assert_eq!((found.channels, found.samples), (Channels::Rgb, [1, 2, 3].repeat(3)));
        let half = mounted(Channels::GrayAlpha, vec![255, 51], (0.0, 0.0), Some([0, 0, 100]));
        assert_eq!(half.samples[..3], [51, 51, 131]);
    }
}
