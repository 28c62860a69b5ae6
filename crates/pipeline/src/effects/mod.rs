//! What a recipe does to the pixels themselves, in linear light with premultiplied alpha, at the size of the rendition.

mod blur;
mod grayscale;
mod sharpen;

use darkroom_model::recipe::{Blur, Sharpen};

use darkroom_raster::Raster;

use crate::RenderError;

/// What is asked for; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    pub(crate) grayscale: bool,
    pub(crate) blur: Option<Blur>,
    pub(crate) sharpen: Option<Sharpen>,
}

impl Effects {
    pub(crate) fn apply(self, mut picture: Raster<u16>) -> Result<Raster<u16>, RenderError> {
        if self.grayscale {
            picture = grayscale::grayscale(picture);
        }
        if let Some(sigma) = self.blur {
            picture = blur::blur(&picture, sigma.get())?;
        }
        if let Some(amount) = self.sharpen {
            picture = sharpen::sharpen(picture, amount.get())?;
        }
        Ok(picture)
    }
}
