//! Samples as deep as a file has them.

use crate::Raster;

/// Coded samples with straight alpha, as deep as the file has them.
#[derive(Clone, Debug)]
pub enum Samples {
    Eight(Raster<u8>),
    Sixteen(Raster<u16>),
}

impl Samples {
    /// The same with straight alpha, of samples whose colours were multiplied by it.
    pub fn unmultiplied(self) -> Self {
        match self {
            Self::Eight(raster) => Self::Eight(unmultiply(raster, u8::MAX)),
            Self::Sixteen(raster) => Self::Sixteen(unmultiply(raster, u16::MAX)),
        }
    }

    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Eight(raster) => (raster.width, raster.height),
            Self::Sixteen(raster) => (raster.width, raster.height),
        }
    }
}

fn unmultiply<T: Copy + Into<u32> + TryFrom<u32>>(mut raster: Raster<T>, top: T) -> Raster<T> {
    if raster.channels.has_alpha() {
        for pixel in raster.samples.chunks_exact_mut(raster.channels.count()) {
            if let Some((alpha, colours)) = pixel.split_last_mut()
                && (*alpha).into() > 0
            {
                let alpha: u32 = (*alpha).into();
                for colour in colours {
                    let straight = ((*colour).into() * top.into() + alpha / 2) / alpha;
                    *colour = straight.try_into().unwrap_or(top);
                }
            }
        }
    }
    raster
}
