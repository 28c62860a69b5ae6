//! WebP through libwebp, still and animated.
#![allow(unsafe_code)] // FFI

use std::{ffi::c_int, marker::PhantomData, mem::zeroed, ptr, slice};

use darkroom_model::recipe::{Effort, Quality};
use libwebp_sys::{
    WEBP_MUX_ABI_VERSION, WebPAnimEncoder, WebPAnimEncoderAdd, WebPAnimEncoderAssemble, WebPAnimEncoderDelete,
    WebPAnimEncoderNewInternal, WebPAnimEncoderOptions, WebPAnimEncoderOptionsInitInternal, WebPConfig, WebPData,
    WebPDataClear, WebPEncode, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear, WebPMemoryWriterInit,
    WebPPicture, WebPPictureFree, WebPPictureImportRGB, WebPPictureImportRGBA,
};

use darkroom_raster::{Channels, Raster};

use super::planes::Planes;
use crate::RenderError;

/// libwebp's method, 0 (fast) to 6 (small): 2 takes 0.4 of the time of 4 for 5 % more bytes at equal SSIMULACRA2, 6 three
/// times as long for 5 % fewer.
const fn method(effort: Effort) -> c_int {
    match effort {
        Effort::Speed => 2,
        Effort::Balanced => 4,
        Effort::Best => 6,
    }
}

/// The quality as libwebp counts it: 76 for 80, and no lower at both ends. Its own 80 makes files as large as other programs'
/// only where those have blurred the picture before.
fn scale(quality: Quality) -> f32 {
    let quality = f32::from(quality.get());
    quality - quality * (100.0 - quality) / 440.0
}

/// The longest a frame can be shown, in milliseconds: RFC 9649, section 2.7.1.1, has 24 bits for it.
const LONGEST: u32 = (1 << 24) - 1;

fn config(quality: Quality, effort: Effort) -> Result<WebPConfig, RenderError> {
    let mut config = WebPConfig::new().map_err(|()| RenderError::bug("libwebp has another version"))?;
    config.quality = scale(quality);
    config.method = method(effort);
    // Edges stay sharper than with libwebp's own 0, for the same bytes: 0.1 more of SSIMULACRA2.
    config.filter_sharpness = 3;
    // Flat parts, where the eye sees steps first, get more of the bytes than with libwebp's own 50. With 60,
    // Kodak's pictures lose 0.3 points of SSIMULACRA2.
    config.sns_strength = 58;
    Ok(config)
}

/// A picture as libwebp takes it, in its own memory or in planes of ours.
struct Picture<'a> {
    raw: WebPPicture,
    planes: PhantomData<&'a mut Planes>,
}

impl<'a> Picture<'a> {
    fn empty(width: u32, height: u32) -> Result<Self, RenderError> {
        let mut raw = WebPPicture::new().map_err(|()| RenderError::bug("libwebp has another version"))?;
        raw.width = c_int::try_from(width).map_err(RenderError::bug)?;
        raw.height = c_int::try_from(height).map_err(RenderError::bug)?;
        Ok(Self { raw, planes: PhantomData })
    }

    /// What is coded with loss, as it is coded.
    fn of(planes: &'a mut Planes) -> Result<Self, RenderError> {
        let mut picture = Self::empty(planes.width, planes.height)?;
        let raw = &mut picture.raw;
        (raw.y_stride, raw.uv_stride) = (raw.width, (raw.width + 1) / 2);
        (raw.y, raw.u, raw.v) = (planes.luma.as_mut_ptr(), planes.blue.as_mut_ptr(), planes.red.as_mut_ptr());
        Ok(picture)
    }

    /// In libwebp's memory. An animation may code a frame without loss, and needs its colours exactly.
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
        let stride = c_int::try_from(samples.len() / raster.height as usize).map_err(RenderError::bug)?;
        // SAFETY: the samples are a stride for each row, with the bytes a pixel that the function reads.
        if unsafe { import(&raw mut picture.raw, samples.as_ptr(), stride) } == 0 {
            return Err(RenderError::bug("libwebp has no memory"));
        }
        Ok(picture)
    }
}

impl Drop for Picture<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised in `empty`; frees what libwebp allocated for it, which planes of ours are not.
        unsafe { WebPPictureFree(&raw mut self.raw) };
    }
}

/// Lossy, with alpha where the picture has it.
pub(crate) fn encode(raster: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
    let config = config(quality, effort)?;
    if raster.channels.has_alpha() {
        return write(Picture::imported(raster, false)?, &config);
    }
    write(Picture::of(&mut Planes::of(raster))?, &config)
}

/// With every colour that is seen as it was.
pub(crate) fn lossless(raster: &Raster<u8>) -> Result<Vec<u8>, RenderError> {
    // Without loss, libwebp's quality is the effort that it makes.
    let mut config = config(Quality::DEFAULT, Effort::Balanced)?;
    config.lossless = 1;
    write(Picture::imported(raster, true)?, &config)
}

fn write(mut picture: Picture<'_>, config: &WebPConfig) -> Result<Vec<u8>, RenderError> {
    // SAFETY: zeroes are valid, and the next call fills it in.
    let mut writer: WebPMemoryWriter = unsafe { zeroed() };
    // SAFETY: a valid pointer.
    unsafe { WebPMemoryWriterInit(&raw mut writer) };
    picture.raw.writer = Some(WebPMemoryWrite);
    picture.raw.custom_ptr = (&raw mut writer).cast();
    // SAFETY: the writer lives on the stack until after the call.
    let encoded = unsafe { WebPEncode(&raw const *config, &raw mut picture.raw) };
    let result = if encoded == 0 {
        Err(RenderError::bug(format!("libwebp: {:?}", picture.raw.error_code)))
    } else {
        // SAFETY: libwebp has written `size` bytes there.
        Ok(unsafe { slice::from_raw_parts(writer.mem, writer.size) }.to_vec())
    };
    // SAFETY: frees what the writer allocated.
    unsafe { WebPMemoryWriterClear(&raw mut writer) };
    result
}

/// An animation being written, frame by frame.
pub(crate) struct Animation {
    raw: *mut WebPAnimEncoder,
    config: WebPConfig,
    /// When the next frame begins, in milliseconds.
    elapsed: c_int,
}

// SAFETY: the encoder is this value's alone, and libwebp keeps nothing of a thread.
unsafe impl Send for Animation {}

impl Animation {
    /// `plays`: how often it is shown; 0 means for ever.
    pub(crate) fn new(
        width: u32,
        height: u32,
        plays: u32,
        quality: Quality,
        effort: Effort,
    ) -> Result<Self, RenderError> {
        let version = WEBP_MUX_ABI_VERSION.cast_signed();
        // SAFETY: zeroes are valid, and the next call fills it in.
        let mut options: WebPAnimEncoderOptions = unsafe { zeroed() };
        // SAFETY: a valid pointer.
        if unsafe { WebPAnimEncoderOptionsInitInternal(&raw mut options, version) } == 0 {
            return Err(RenderError::bug("libwebp has another version"));
        }
        // RFC 9649 has 16 bits for it.
        options.anim_params.loop_count = plays.min(u16::MAX.into()).try_into().map_err(RenderError::bug)?;
        // Flat frames are smaller without loss, photographs with it.
        options.allow_mixed = 1;
        let width = c_int::try_from(width).map_err(RenderError::bug)?;
        let height = c_int::try_from(height).map_err(RenderError::bug)?;
        // SAFETY: valid pointers.
        let raw = unsafe { WebPAnimEncoderNewInternal(width, height, &raw const options, version) };
        if raw.is_null() {
            return Err(RenderError::bug("libwebp has no memory"));
        }
        Ok(Self { raw, config: config(quality, effort)?, elapsed: 0 })
    }

    /// Adds a frame of the animation's size, shown for this long, but for four and a half hours at most.
    pub(crate) fn add(&mut self, raster: &Raster<u8>, milliseconds: u32) -> Result<(), RenderError> {
        let mut picture = Picture::imported(raster, true)?;
        // SAFETY: valid pointers; the picture is copied.
        let added = unsafe { WebPAnimEncoderAdd(self.raw, &raw mut picture.raw, self.elapsed, &raw const self.config) };
        if added == 0 {
            return Err(RenderError::bug("libwebp refuses a frame"));
        }
        self.elapsed = self.elapsed.saturating_add_unsigned(milliseconds.min(LONGEST));
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>, RenderError> {
        let mut data = WebPData::default();
        // SAFETY: a null picture says when the last frame ends; `data` then holds memory of libwebp's.
        unsafe {
            let added = WebPAnimEncoderAdd(self.raw, ptr::null_mut(), self.elapsed, ptr::null());
            if added == 0 || WebPAnimEncoderAssemble(self.raw, &raw mut data) == 0 || data.bytes.is_null() {
                return Err(RenderError::bug("libwebp cannot assemble the animation"));
            }
            let bytes = slice::from_raw_parts(data.bytes, data.size).to_vec();
            WebPDataClear(&mut data);
            Ok(bytes)
        }
    }
}

impl Drop for Animation {
    fn drop(&mut self) {
        // SAFETY: made by `WebPAnimEncoderNewInternal`, and not used again.
        unsafe { WebPAnimEncoderDelete(self.raw) };
    }
}
