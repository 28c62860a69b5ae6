//! Pixels in memory.

use std::borrow::Cow;

/// What the samples of a pixel mean. Straight or premultiplied alpha, and coded or linear values, are up to the step
/// that holds them; each says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
}

impl Channels {
    pub const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }

    pub const fn without_alpha(self) -> Self {
        match self {
            Self::Gray | Self::GrayAlpha => Self::Gray,
            Self::Rgb | Self::Rgba => Self::Rgb,
        }
    }
}

/// A picture: rows from top to bottom, samples interleaved, nothing between rows.
#[derive(Clone, Debug)]
pub struct Raster<T> {
    pub width: u32,
    pub height: u32,
    pub channels: Channels,
    pub samples: Vec<T>,
}

impl<T: Copy + Default> Raster<T> {
    pub fn new(width: u32, height: u32, channels: Channels) -> Self {
        let samples = vec![T::default(); width as usize * height as usize * channels.count()];
        Self { width, height, channels, samples }
    }

    /// The same picture with other samples.
    pub fn with<U>(&self, channels: Channels, samples: Vec<U>) -> Raster<U> {
        debug_assert_eq!(samples.len(), self.width as usize * self.height as usize * channels.count());
        Raster { width: self.width, height: self.height, channels, samples }
    }

    pub fn row_length(&self) -> usize {
        self.width as usize * self.channels.count()
    }

    pub fn pixels(&self) -> std::slice::ChunksExact<'_, T> {
        self.samples.chunks_exact(self.channels.count())
    }
}

/// Lays a pixel with straight alpha over the colours of another, whose alpha is `ground` (W3C PNG, third edition, section
/// 11.3.6.2: over). Coded values are mixed, as browsers do it.
#[inline]
pub fn alpha_over(below: &mut [u8], ground: &mut u8, above: &[u8]) {
    let [above @ .., alpha] = above else { return };
    match *alpha {
        0 => {}
        255 => {
            below.iter_mut().zip(above).for_each(|(below, above)| *below = *above);
            *ground = 255;
        }
        alpha => {
            let (front, back) = (u32::from(alpha) * 255, u32::from(*ground) * u32::from(255 - alpha));
            let sum = front + back;
            for (below, above) in below.iter_mut().zip(above) {
                let mixed = (u32::from(*above) * front + u32::from(*below) * back + sum / 2) / sum;
                *below = u8::try_from(mixed).unwrap_or(u8::MAX);
            }
            *ground = u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX);
        }
    }
}

impl Raster<u8> {
    /// Whether any pixel shows what is behind it.
    pub fn is_transparent(&self) -> bool {
        self.channels.has_alpha() && self.pixels().any(|pixel| pixel.last() != Some(&u8::MAX))
    }

    /// Whether no pixel has a colour, whatever the channels.
    pub fn is_gray(&self) -> bool {
        let colours = self.channels.without_alpha().count();
        self.pixels().all(|pixel| pixel[..colours].iter().all(|value| *value == pixel[0]))
    }

    /// Drops an alpha channel that says nothing.
    pub fn without_idle_alpha(self) -> Self {
        if !self.channels.has_alpha() || self.is_transparent() { self } else { self.opaque() }
    }

    /// The colours alone; what is transparent shows its colour.
    fn opaque(self) -> Self {
        let channels = self.channels.without_alpha();
        let samples = self.pixels().flat_map(|pixel| &pixel[..channels.count()]).copied().collect();
        self.with(channels, samples)
    }

    /// Laid on white, for formats without transparency.
    pub fn on_white(&self) -> Cow<'_, Self> {
        if self.channels.has_alpha() { Cow::Owned(self.on([255; 3])) } else { Cow::Borrowed(self) }
    }

    /// Laid on a colour, as browsers do it: coded values are mixed.
    pub fn on(&self, colour: [u8; 3]) -> Self {
        if !self.channels.has_alpha() {
            return self.clone();
        }
        let stays_gray = self.channels == Channels::GrayAlpha && colour.iter().all(|value| *value == colour[0]);
        let (channels, count) = if stays_gray { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
        let mut samples = Vec::with_capacity(self.width as usize * self.height as usize * count);
        for pixel in self.pixels() {
            let (above, alpha) = pixel.split_at(pixel.len() - 1);
            let alpha = u32::from(alpha[0]);
            // At most 255: a mean of two bytes, weighted by parts of 255.
            #[allow(clippy::cast_possible_truncation)]
            samples.extend(above.iter().cycle().zip(&colour[..count]).map(|(above, below)| {
                ((u32::from(*above) * alpha + u32::from(*below) * (255 - alpha) + 127) / 255) as u8
            }));
        }
        self.with(channels, samples)
    }

    /// The same picture with other channels: those it has, and more.
    pub fn widened(&self, channels: Channels) -> Self {
        let samples = match channels {
            _ if channels == self.channels => self.samples.clone(),
            Channels::Gray => return self.clone(),
            Channels::GrayAlpha => self.pixels().flat_map(|p| [p[0], 255]).collect(),
            Channels::Rgb => self.pixels().flat_map(|p| [p[0]; 3]).collect(),
            Channels::Rgba => self.to_rgba(),
        };
        self.with(channels, samples)
    }

    pub fn to_rgba(&self) -> Vec<u8> {
        match self.channels {
            Channels::Gray => self.samples.iter().flat_map(|g| [*g, *g, *g, 255]).collect(),
            Channels::GrayAlpha => self.pixels().flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
            Channels::Rgb => self.pixels().flat_map(|p| [p[0], p[1], p[2], 255]).collect(),
            Channels::Rgba => self.samples.clone(),
        }
    }
}
