//! AV1 data to pictures, through rav1d.

use re_rav1d::dav1d::{Decoder, Error, Picture, Settings};

use crate::RenderError;

/// The most calls for a picture before decoding is given up.
const MAX_POLLS: usize = 1_000;

/// A decoder of still pictures, or of the frames of a sequence.
pub(super) struct Av1 {
    decoder: Decoder,
    /// Width and height of each picture. Another one is an error.
    size: (u32, u32),
    /// The layer to return; `None`: the last.
    layer: Option<u16>,
}

impl Av1 {
    pub(super) fn new(size: (u32, u32), operating_point: u8, layer: Option<u16>) -> Result<Self, RenderError> {
        let mut settings = Settings::new();
        // Parallelism is over pictures, not within one.
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_frame_size_limit(size.0.saturating_mul(size.1));
        settings.set_operating_point(operating_point.min(31).into());
        settings.set_all_layers(layer.is_some());
        Ok(Self { decoder: Decoder::with_settings(&settings).map_err(decode_error)?, size, layer })
    }

    /// Decodes the picture of an item, or the next one of a sequence.
    pub(super) fn decode(&mut self, data: Vec<u8>) -> Result<Picture, RenderError> {
        if data.is_empty() {
            return Err(RenderError::truncated("AVIF", "no data"));
        }
        let mut sent = self.decoder.send_data(data.into_boxed_slice(), None, None, None);
        // The picture so far, and how many came.
        let (mut found, mut count): (Option<Picture>, u16) = (None, 0);
        for _ in 0..MAX_POLLS {
            match (self.decoder.get_picture(), sent) {
                (Ok(picture), _) => {
                    if self.layer.map_or(found.is_none(), |layer| count <= layer) {
                        found = Some(picture);
                    }
                    count = count.saturating_add(1);
                }
                (Err(Error::Again), Err(Error::Again)) => sent = self.decoder.send_pending_data(),
                (Err(Error::Again), Ok(())) => break,
                // What follows the picture is of no use.
                (Err(_), _) if found.is_some() => {
                    self.decoder.flush();
                    break;
                }
                (Err(Error::Again), Err(error)) | (Err(error), _) => return Err(decode_error(error)),
            }
        }
        let picture = found.ok_or_else(|| RenderError::truncated("AVIF", "no frame"))?;
        if (picture.width(), picture.height()) != self.size {
            return Err(RenderError::damaged("AVIF", "its header and its stream disagree about the size"));
        }
        Ok(picture)
    }
}

fn decode_error(error: Error) -> RenderError {
    match error {
        Error::NotEnoughMemory => RenderError::OutOfMemory("the AV1 decoder failed"),
        error => RenderError::damaged("AVIF", error),
    }
}
