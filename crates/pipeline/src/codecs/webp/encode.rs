//! WebP from pixels: lossy pictures without alpha by our own encoder, all others and animations through libwebp.
#![expect(unsafe_code, reason = "FFI")]

use std::{ffi::c_int, mem::zeroed, ptr, slice};

use darkroom_model::recipe::{Effort, Quality};
use libwebp_sys::{
    WEBP_MUX_ABI_VERSION, WebPAnimEncoder, WebPAnimEncoderAdd, WebPAnimEncoderAssemble, WebPAnimEncoderDelete,
    WebPAnimEncoderNewInternal, WebPAnimEncoderOptions, WebPAnimEncoderOptionsInitInternal, WebPConfig, WebPData,
    WebPDataClear, WebPEncode, WebPEncodingError, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear,
    WebPMemoryWriterInit, WebPPicture, WebPPictureFree, WebPPictureImportRGB, WebPPictureImportRGBA,
};

use darkroom_raster::{Channels, Raster};

use crate::{RenderError, codecs::AnimationEncoder};

/// libwebp's method, 0 (fastest) to 6 (smallest). At equal SSIMULACRA2, 2 takes 0.4 times as long as 4 and makes 5 % more
/// bytes; 6 takes three times as long and makes 5 % fewer.
const fn method(effort: Effort) -> c_int {
    match effort {
        Effort::Speed => 2,
        Effort::Balanced => 4,
        Effort::Best => 6,
    }
}

/// Our quality on libwebp's scale: 80 becomes 76; both ends stay. libwebp's 80 would make files larger than other programs'
/// at the same quality, because those resize to blurrier pictures.
fn libwebp_quality(quality: Quality) -> f32 {
    let quality = f32::from(quality.get());
    quality - quality * (100.0 - quality) / 440.0
}

/// The longest a frame can be shown: four and a half hours, 24 bits of milliseconds (RFC 9649, section 2.7.1.1).
const MAX_FRAME_MILLISECONDS: u32 = (1 << 24) - 1;

fn config(quality: Quality, effort: Effort) -> Result<WebPConfig, RenderError> {
    let mut config = WebPConfig::new().map_err(|()| RenderError::internal("libwebp has another version"))?;
    config.quality = libwebp_quality(quality);
    config.method = method(effort);
    // Sharper edges for the same bytes: 0.1 more SSIMULACRA2 than the default of 0.
    config.filter_sharpness = 3;
    // More bits for flat areas, where banding is most visible, than the default of 50. 60 costs Kodak's test pictures 0.3 points
    // of SSIMULACRA2.
    config.sns_strength = 58;
    Ok(config)
}

/// libwebp's input picture, in its own memory.
struct Picture {
    raw: WebPPicture,
}

impl Picture {
    fn empty(width: u32, height: u32) -> Result<Self, RenderError> {
        let mut raw = WebPPicture::new().map_err(|()| RenderError::internal("libwebp has another version"))?;
        raw.width = c_int::try_from(width).map_err(RenderError::internal)?;
        raw.height = c_int::try_from(height).map_err(RenderError::internal)?;
        Ok(Self { raw })
    }

    /// Copies the samples into libwebp's memory. `exact` keeps RGB: an animation may code a frame without loss.
    fn imported(raster: &Raster<u8>, exact: bool) -> Result<Self, RenderError> {
        let mut picture = Self::empty(raster.width, raster.height)?;
        picture.raw.use_argb = exact.into();
        let expanded;
        let (samples, import): (&[u8], unsafe extern "C" fn(_, _, _) -> _) = match raster.channels {
            Channels::Rgb => (&raster.samples, WebPPictureImportRGB),
            Channels::Rgba => (&raster.samples, WebPPictureImportRGBA),
            Channels::Gray => {
                expanded = raster.samples.iter().flat_map(|gray| [*gray; 3]).collect::<Vec<_>>();
                (&expanded, WebPPictureImportRGB)
            }
            Channels::GrayAlpha => {
                expanded = raster.to_rgba();
                (&expanded, WebPPictureImportRGBA)
            }
        };
        let stride = c_int::try_from(samples.len() / raster.height as usize).map_err(RenderError::internal)?;
        // SAFETY: the samples are a stride for each row, with the bytes a pixel that the function reads.
        if unsafe { import(&raw mut picture.raw, samples.as_ptr(), stride) } == 0 {
            return Err(RenderError::OutOfMemory("libwebp cannot import a picture"));
        }
        Ok(picture)
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: initialised in `empty`; frees what libwebp allocated for it.
        unsafe { WebPPictureFree(&raw mut self.raw) };
    }
}

/// Lossy; with alpha where the picture has it.
pub(super) fn encode(raster: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
    if raster.channels.has_alpha() {
        return write(Picture::imported(raster, false)?, &config(quality, effort)?);
    }
    darkroom_webp::encode(raster, quality, effort).map_err(RenderError::internal)
}

/// Without loss; only the colours of fully transparent pixels may change.
pub(super) fn lossless(raster: &Raster<u8>) -> Result<Vec<u8>, RenderError> {
    // In lossless mode, libwebp's quality means effort.
    let mut config = config(Quality::DEFAULT, Effort::Balanced)?;
    config.lossless = 1;
    write(Picture::imported(raster, true)?, &config)
}

fn write(mut picture: Picture, config: &WebPConfig) -> Result<Vec<u8>, RenderError> {
    // SAFETY: zeroes are valid, and the next call fills it in.
    let mut writer: WebPMemoryWriter = unsafe { zeroed() };
    // SAFETY: a valid pointer.
    unsafe { WebPMemoryWriterInit(&raw mut writer) };
    picture.raw.writer = Some(WebPMemoryWrite);
    picture.raw.custom_ptr = (&raw mut writer).cast();
    // SAFETY: the writer lives on the stack until after the call.
    let encoded = unsafe { WebPEncode(&raw const *config, &raw mut picture.raw) };
    let result = if encoded == 0 {
        Err(encode_error(picture.raw.error_code))
    } else {
        // SAFETY: libwebp has written `size` bytes there.
        Ok(unsafe { slice::from_raw_parts(writer.mem, writer.size) }.to_vec())
    };
    // SAFETY: frees what the writer allocated.
    unsafe { WebPMemoryWriterClear(&raw mut writer) };
    result
}

fn encode_error(code: WebPEncodingError) -> RenderError {
    match code {
        WebPEncodingError::VP8_ENC_ERROR_OUT_OF_MEMORY | WebPEncodingError::VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY => {
            RenderError::OutOfMemory("libwebp cannot encode the picture")
        }
        code => RenderError::internal(format!("libwebp: {code:?}")),
    }
}

/// libwebp's animation encoder.
pub(super) struct WebpAnimation {
    raw: *mut WebPAnimEncoder,
    config: WebPConfig,
    /// Start of the next frame, in milliseconds.
    elapsed: c_int,
    /// Whether a pixel of a frame is not opaque.
    has_alpha: bool,
}

// SAFETY: the encoder is this value's alone, and libwebp keeps nothing of a thread.
unsafe impl Send for WebpAnimation {}

impl WebpAnimation {
    /// `plays`: how many times it is shown; 0 means forever.
    pub(super) fn new(
        (width, height): (u32, u32),
        plays: u32,
        quality: Quality,
        effort: Effort,
    ) -> Result<Self, RenderError> {
        let version = WEBP_MUX_ABI_VERSION.cast_signed();
        // SAFETY: zeroes are valid, and the next call fills it in.
        let mut options: WebPAnimEncoderOptions = unsafe { zeroed() };
        // SAFETY: a valid pointer.
        if unsafe { WebPAnimEncoderOptionsInitInternal(&raw mut options, version) } == 0 {
            return Err(RenderError::internal("libwebp has another version"));
        }
        // The loop count has 16 bits (RFC 9649, section 2.7.1.1). What exceeds it is shown forever: nobody sees the end.
        options.anim_params.loop_count = u16::try_from(plays).unwrap_or(0).into();
        // Each frame is lossy or lossless, whichever is smaller: flat frames are smaller without loss.
        options.allow_mixed = 1;
        let width = c_int::try_from(width).map_err(RenderError::internal)?;
        let height = c_int::try_from(height).map_err(RenderError::internal)?;
        // SAFETY: valid pointers.
        let raw = unsafe { WebPAnimEncoderNewInternal(width, height, &raw const options, version) };
        if raw.is_null() {
            return Err(RenderError::OutOfMemory("libwebp cannot start an animation"));
        }
        Ok(Self { raw, config: config(quality, effort)?, elapsed: 0, has_alpha: false })
    }
}

impl AnimationEncoder for WebpAnimation {
    /// A duration above [`MAX_FRAME_MILLISECONDS`] is cut to it.
    fn add(&mut self, raster: &Raster<u8>, milliseconds: u32) -> Result<(), RenderError> {
        self.has_alpha |= raster.is_transparent();
        let mut picture = Picture::imported(raster, true)?;
        // SAFETY: valid pointers; the picture is copied.
        let added = unsafe { WebPAnimEncoderAdd(self.raw, &raw mut picture.raw, self.elapsed, &raw const self.config) };
        if added == 0 {
            return Err(encode_error(picture.raw.error_code));
        }
        self.elapsed = self.elapsed.saturating_add_unsigned(milliseconds.min(MAX_FRAME_MILLISECONDS));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, RenderError> {
        let mut data = WebPData::default();
        // SAFETY: a null picture says when the last frame ends; `data` then holds memory of libwebp's.
        unsafe {
            let added = WebPAnimEncoderAdd(self.raw, ptr::null_mut(), self.elapsed, ptr::null());
            if added == 0 || WebPAnimEncoderAssemble(self.raw, &raw mut data) == 0 || data.bytes.is_null() {
                return Err(RenderError::internal("libwebp cannot assemble the animation"));
            }
            let mut bytes = slice::from_raw_parts(data.bytes, data.size).to_vec();
            WebPDataClear(&mut data);
            if self.has_alpha {
                declare_alpha(&mut bytes);
            }
            Ok(bytes)
        }
    }
}

/// Sets the alpha flag of a VP8X chunk (RFC 9649, section 2.7.1). libwebp leaves it out where every frame's own rectangle is
/// opaque, although the canvas around the rectangles is transparent.
fn declare_alpha(file: &mut [u8]) {
    const ALPHA: u8 = 0b1_0000;
    if file.get(12..16) == Some(b"VP8X")
        && let Some(flags) = file.get_mut(20)
    {
        *flags |= ALPHA;
    }
}

impl Drop for WebpAnimation {
    fn drop(&mut self) {
        // SAFETY: made by `WebPAnimEncoderNewInternal`, and not used again.
        unsafe { WebPAnimEncoderDelete(self.raw) };
    }
}
