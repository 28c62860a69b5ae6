//! JPEG XL (ISO/IEC 18181) through jxl-oxide, which composites the frames of an animation.

use std::error::Error;

use darkroom_container::header::Header;
use jxl_oxide::{
    AllocTracker, AuxBoxData, FrameBufferSample, JxlImage, JxlThreadPool, PixelFormat,
    color::{ColourEncoding, ColourSpace as JxlColourSpace, EnumColourEncoding, TransferFunction},
    image::ExtraChannelInfo,
};

use darkroom_raster::{Channels, Raster, Samples};

use super::codec::{Animation, AnimationFrame, Codec, DecodeRequest, Decoded, Metadata, check_size};
use crate::{
    RenderError,
    colour::{ColourSpace, MAX_PROFILE},
};

pub(super) struct JxlCodec;

/// Opens a file whose pixels are then decoded within `max_memory` bytes. Opening itself needs little besides the file's bytes.
fn open(bytes: &[u8], header: &Header, max_memory: Option<u64>) -> Result<JxlImage, RenderError> {
    let limit = max_memory.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let builder = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(AllocTracker::with_limit(limit));
    let image = builder.read(bytes).map_err(|error| decoder_error(&*error))?;
    check_size(header, (image.width(), image.height()), "JPEG XL")?;
    Ok(image)
}

/// The decoder has no public type for a failed allocation, but a text, to which its outer errors only add (`jxl_grid::OutOfMemory`
/// at the limit, `jxl_frame::Error::OutOfMemory`).
fn decoder_error(error: &dyn Error) -> RenderError {
    let text = error.to_string();
    if text.contains("failed to allocate") || text.contains("out of memory") {
        RenderError::OutOfMemory("the JPEG XL decoder failed")
    } else {
        RenderError::damaged("JPEG XL", text)
    }
}

fn unsupported(space: &str) -> RenderError {
    RenderError::unsupported(format!("This is a JPEG XL in {space}, which is not read."), space)
}

/// The channels of the decoded pictures.
fn channels(image: &JxlImage) -> Result<Channels, RenderError> {
    match image.pixel_format() {
        PixelFormat::Gray => Ok(Channels::Gray),
        PixelFormat::Graya => Ok(Channels::GrayAlpha),
        PixelFormat::Rgb => Ok(Channels::Rgb),
        PixelFormat::Rgba => Ok(Channels::Rgba),
        PixelFormat::Cmyk | PixelFormat::Cmyka => Err(unsupported("CMYK")),
    }
}

/// Decodes one frame to samples of this type, with straight alpha, and returns how long it is shown, in ticks.
fn frame<T: FrameBufferSample + Copy + Default>(
    image: &JxlImage,
    index: usize,
    wrap: fn(Raster<T>) -> Samples,
) -> Result<(Samples, u32), RenderError> {
    let channels = channels(image)?;
    if index >= image.num_loaded_keyframes() {
        return Err(RenderError::truncated("JPEG XL", "no frame"));
    }
    let render = image.render_frame(index).map_err(|error| decoder_error(&*error))?;
    let mut stream = render.stream();
    if (stream.width(), stream.height()) != (image.width(), image.height())
        || stream.channels() as usize != channels.count()
    {
        return Err(RenderError::damaged("JPEG XL", "its header and its stream disagree about the size"));
    }
    let mut raster = Raster::new(image.width(), image.height(), channels);
    stream.write_to_buffer(&mut raster.samples);
    let alphas = image.image_header().metadata.ec_info.iter().find(|channel| channel.is_alpha());
    let is_premultiplied = alphas.and_then(ExtraChannelInfo::alpha_associated) == Some(true);
    let samples = wrap(raster);
    Ok((if is_premultiplied { samples.unpremultiplied() } else { samples }, render.duration()))
}

impl Codec for JxlCodec {
    fn frames(&self, bytes: &[u8], header: &Header) -> Result<u32, RenderError> {
        let image = open(bytes, header, None)?;
        let is_animated = image.image_header().metadata.animation.is_some();
        if is_animated && !image.is_loading_done() {
            return Err(RenderError::truncated("JPEG XL", "a frame is missing"));
        }
        Ok(if is_animated { u32::try_from(image.num_loaded_keyframes()).unwrap_or(u32::MAX).max(1) } else { 1 })
    }

    /// The orientation is applied by the decoder.
    fn metadata(&self, bytes: &[u8], header: &Header) -> Result<Metadata, RenderError> {
        let image = open(bytes, header, None)?;
        if let ColourEncoding::Enum(encoding) = &image.image_header().metadata.colour_encoding {
            let EnumColourEncoding { colour_space, tf, .. } = encoding;
            // The decoder panics where it would have to make an ICC profile for the colour space XYB or for these curves. No
            // known encoder writes them as a picture's colour space.
            if *colour_space == JxlColourSpace::Xyb {
                return Err(unsupported("XYB"));
            }
            if matches!(tf, TransferFunction::Unknown | TransferFunction::Gamma { g: 0, .. }) {
                return Err(unsupported("colours without a transfer function"));
            }
        }
        let colour_space = match image.rendered_cicp() {
            Some([primaries, transfer, ..]) => ColourSpace::from_code_points(primaries.into(), transfer.into()),
            None => Some(image.rendered_icc())
                .filter(|p| p.len() <= MAX_PROFILE)
                .map_or(ColourSpace::Srgb, ColourSpace::Icc),
        };
        Ok(Metadata { colour_space, ..Metadata::default() })
    }

    fn exif(&self, bytes: &[u8], header: &Header) -> Option<Vec<u8>> {
        let image = open(bytes, header, None).ok()?;
        let AuxBoxData::Data(exif) = image.aux_boxes().first_exif().ok()? else { return None };
        exif.payload().get(exif.tiff_header_offset() as usize..).map(<[u8]>::to_vec)
    }

    /// The decoder keeps planes in floating point beside the picture.
    fn decoder_bytes(&self, header: &Header) -> u64 {
        32 * header.frame_pixels()
    }

    fn decode(&self, bytes: &[u8], header: &Header, request: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let image = open(bytes, header, request.max_memory)?;
        let is_deep = image.image_header().metadata.bit_depth.bits_per_sample() > 8;
        let (samples, _) =
            if is_deep { frame(&image, 0, Samples::Sixteen)? } else { frame(&image, 0, Samples::Eight)? };
        Ok(samples.into())
    }

    fn open_animation<'a>(
        &self,
        bytes: &'a [u8],
        header: &Header,
        max_memory: Option<u64>,
    ) -> Result<Animation<'a>, RenderError> {
        let image = open(bytes, header, max_memory)?;
        let animation = image.image_header().metadata.animation.as_ref();
        let animation = animation.ok_or_else(|| RenderError::damaged("JPEG XL", "no animation"))?;
        let plays = animation.num_loops;
        // Ticks per second.
        let (numerator, denominator) =
            (u64::from(animation.tps_numerator.max(1)), u64::from(animation.tps_denominator));
        let count = header.frames as usize;
        let frames = (0..count).map(move |index| {
            let (Samples::Eight(picture), ticks) = frame(&image, index, Samples::Eight)? else {
                return Err(RenderError::internal("8 bits became 16"));
            };
            let milliseconds = u32::try_from(u64::from(ticks) * 1000 * denominator / numerator).unwrap_or(u32::MAX);
            Ok(AnimationFrame { picture, milliseconds })
        });
        Ok(Animation { plays, frames: Box::new(frames) })
    }
}
