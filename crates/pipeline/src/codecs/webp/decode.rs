//! WebP to pixels, through libwebp.
#![expect(unsafe_code, reason = "FFI")]

use std::{mem::zeroed, ptr, slice};

use darkroom_container::{exif, header::Header, webp_chunks};
use darkroom_model::RenditionFormat;
use darkroom_raster::{Channels, Orientation, Raster, Samples};
use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPAnimDecoder, WebPAnimDecoderDelete, WebPAnimDecoderGetInfo,
    WebPAnimDecoderGetNext, WebPAnimDecoderNew, WebPAnimDecoderOptions, WebPAnimDecoderOptionsInit, WebPAnimInfo,
    WebPData, WebPDecode, WebPDecoderConfig, WebPGetFeatures, WebPRGBABuffer,
};

use crate::{
    RenderError,
    codecs::codec::{Animation, AnimationFrame, Metadata, check_size},
    colour::{ColourSpace, MAX_PROFILE},
};

pub(super) fn metadata(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    for (kind, body) in webp_chunks::chunks(bytes) {
        match kind {
            b"ICCP" if body.len() <= MAX_PROFILE => metadata.colour_space = ColourSpace::Icc(body.to_vec()),
            b"VP8 " => metadata.lossy_format = Some(RenditionFormat::Webp),
            b"EXIF" => metadata.orientation = Orientation::from_tag(exif::orientation(body)),
            _ => {}
        }
    }
    metadata
}

/// Decodes a still picture, or the first frame of an animation.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    // SAFETY: zeroes are valid for a struct of integers.
    let mut features = unsafe { zeroed() };
    // SAFETY: pointer and length are of one slice.
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &raw mut features) };
    if status != VP8StatusCode::VP8_STATUS_OK {
        return Err(RenderError::damaged("WebP", "no features"));
    }
    let size = (u32::try_from(features.width).unwrap_or(0), u32::try_from(features.height).unwrap_or(0));
    check_size(header, size, "WebP")?;
    if features.has_animation != 0 {
        return Decoder::new(bytes, header)?.next().map(|frame| Samples::Eight(frame.picture));
    }
    let channels = if features.has_alpha == 0 { Channels::Rgb } else { Channels::Rgba };
    let mut raster = Raster::new(header.width, header.height, channels);
    let stride = i32::try_from(raster.row_length()).map_err(RenderError::internal)?;
    // The interface with a configuration, because its status distinguishes a lack of memory from a damaged file.
    let mut config = WebPDecoderConfig::new().map_err(|()| RenderError::internal("libwebp has another version"))?;
    config.output.colorspace =
        if channels == Channels::Rgb { WEBP_CSP_MODE::MODE_RGB } else { WEBP_CSP_MODE::MODE_RGBA };
    config.output.is_external_memory = 1;
    let (rgba, size) = (raster.samples.as_mut_ptr(), raster.samples.len());
    config.output.u.RGBA = WebPRGBABuffer { rgba, stride, size };
    // SAFETY: the target has `size` bytes: a stride for each row of the checked size.
    match unsafe { WebPDecode(bytes.as_ptr(), bytes.len(), &raw mut config) } {
        VP8StatusCode::VP8_STATUS_OK => Ok(Samples::Eight(raster)),
        // Its VP8_STATUS_OUT_OF_MEMORY also means some kinds of damage.
        status => Err(damaged_or_out_of_memory(header, &format!("{status:?}"))),
    }
}

/// The error after a failure for which libwebp gives no reason, or one that includes a failed allocation. It is a lack of
/// memory where the decoder's own cannot be allocated now.
fn damaged_or_out_of_memory(header: &Header, cause: &str) -> RenderError {
    // The picture as the decoder holds it, and its canvas: four bytes a pixel each.
    let needed = 8 * header.frame_pixels();
    let is_available = usize::try_from(needed).is_ok_and(|needed| Vec::<u8>::new().try_reserve_exact(needed).is_ok());
    if is_available { RenderError::damaged("WebP", cause) } else { RenderError::OutOfMemory("libwebp failed") }
}

pub(super) fn animation<'a>(bytes: &'a [u8], header: &Header) -> Result<Animation<'a>, RenderError> {
    let mut decoder = Decoder::new(bytes, header)?;
    let plays = decoder.plays;
    let frames = (0..header.frames).map(move |_| decoder.next());
    Ok(Animation { plays, frames: Box::new(frames) })
}

/// libwebp's animation decoder, which composites the frames.
struct Decoder<'a> {
    raw: *mut WebPAnimDecoder,
    header: Header,
    plays: u32,
    /// When the last frame ended, in milliseconds.
    elapsed: i32,
    /// The C decoder keeps a pointer into it.
    _bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8], header: &Header) -> Result<Self, RenderError> {
        let data = WebPData { bytes: bytes.as_ptr(), size: bytes.len() };
        // SAFETY: zeroes are valid, and the next call fills it in.
        let mut options: WebPAnimDecoderOptions = unsafe { zeroed() };
        // SAFETY: a valid pointer.
        if unsafe { WebPAnimDecoderOptionsInit(&raw mut options) } == 0 {
            return Err(RenderError::internal("libwebp has another version"));
        }
        options.color_mode = WEBP_CSP_MODE::MODE_RGBA;
        // SAFETY: `data` is copied; the bytes it points to outlive the decoder.
        let raw = unsafe { WebPAnimDecoderNew(&raw const data, &raw const options) };
        if raw.is_null() {
            return Err(damaged_or_out_of_memory(header, "no animation"));
        }
        let mut decoder = Self { raw, header: *header, plays: 0, elapsed: 0, _bytes: bytes };
        let mut info = WebPAnimInfo::default();
        // SAFETY: valid pointers.
        if unsafe { WebPAnimDecoderGetInfo(raw, &raw mut info) } == 0 {
            return Err(RenderError::damaged("WebP", "no information"));
        }
        check_size(header, (info.canvas_width, info.canvas_height), "WebP")?;
        decoder.plays = info.loop_count;
        Ok(decoder)
    }

    fn next(&mut self) -> Result<AnimationFrame, RenderError> {
        let (mut pixels, mut end) = (ptr::null_mut(), 0);
        // SAFETY: valid pointers; the decoder writes the address of its own canvas.
        if unsafe { WebPAnimDecoderGetNext(self.raw, &raw mut pixels, &raw mut end) } == 0 || pixels.is_null() {
            return Err(damaged_or_out_of_memory(&self.header, "a frame cannot be decoded"));
        }
        let Header { width, height, .. } = self.header;
        let length = width as usize * height as usize * 4;
        // SAFETY: the canvas has four bytes a pixel of the checked size, and stays until the next call.
        let samples = unsafe { slice::from_raw_parts(pixels, length) }.to_vec();
        let milliseconds = u32::try_from(end.saturating_sub(self.elapsed)).unwrap_or(0);
        self.elapsed = end;
        Ok(AnimationFrame { picture: Raster { width, height, channels: Channels::Rgba, samples }, milliseconds })
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `WebPAnimDecoderNew`, and not used again.
        unsafe { WebPAnimDecoderDelete(self.raw) };
    }
}
