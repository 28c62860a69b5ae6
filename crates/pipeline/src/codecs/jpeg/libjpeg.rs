//! Decoding by libjpeg (mozjpeg): every kind of JPEG, CMYK too.
#![expect(unsafe_code, reason = "FFI")]

use std::{
    ffi::{c_int, c_long},
    mem::zeroed,
    ptr,
};

use darkroom_container::{
    header::{Header, Limit},
    jpeg_segments,
};
use mozjpeg_sys::{
    J_COLOR_SPACE, jpeg_common_struct, jpeg_create_decompress, jpeg_decompress_struct, jpeg_destroy_decompress,
    jpeg_finish_decompress, jpeg_mem_src, jpeg_progress_mgr, jpeg_read_header, jpeg_read_scanlines,
    jpeg_start_decompress,
};

use darkroom_raster::{Channels, Raster};

use crate::{
    RenderError,
    codecs::{
        codec::check_size,
        jpeg::libjpeg_errors::{ErrorManager, LibjpegError, catch, throw},
    },
    colour::CmykToSrgb,
};

/// Decodes at `eighths` of the size: 1, 2, 4 or 8. `profile` is used for CMYK alone. More than `max_scans` scans are
/// refused while decoding.
pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    profile: Option<&[u8]>,
    eighths: u32,
    max_scans: u32,
) -> Result<Raster<u8>, RenderError> {
    decompress(bytes, "JPEG", max_scans, |state| {
        check_size(header, (state.image_width, state.image_height), "JPEG")?;
        let channels = match state.jpeg_color_space {
            J_COLOR_SPACE::JCS_GRAYSCALE => Channels::Gray,
            J_COLOR_SPACE::JCS_RGB | J_COLOR_SPACE::JCS_YCbCr => {
                state.out_color_space = J_COLOR_SPACE::JCS_RGB;
                Channels::Rgb
            }
            J_COLOR_SPACE::JCS_CMYK | J_COLOR_SPACE::JCS_YCCK => {
                state.out_color_space = J_COLOR_SPACE::JCS_CMYK;
                Channels::Rgb
            }
            _ => return Err(RenderError::damaged("JPEG", "unknown colour space")),
        };
        state.scale_num = eighths;
        state.scale_denom = 8;
        // SAFETY: the header has been read.
        unsafe { jpeg_start_decompress(state) };
        let mut raster = Raster::new(state.output_width, state.output_height, channels);
        if state.out_color_space == J_COLOR_SPACE::JCS_CMYK {
            read_cmyk(state, &mut raster, &CmykToSrgb::new(profile))?;
        } else {
            let row_length = raster.row_length();
            for rows in raster.samples.chunks_mut(row_length * ROWS) {
                read_rows(state, rows, row_length);
            }
        }
        Ok(raster)
    })
}

/// Decodes a JPEG inside of a TIFF: `components` samples of each pixel as they are stored, or RGB of YCbCr where `ycbcr` says so,
/// whatever markers of the JPEG say. Returns the width and all rows, which are `height` at least.
pub(in crate::codecs) fn decode_in_tiff(
    bytes: &[u8],
    (width, height, max_height): (u32, u32, u32),
    (components, ycbcr): (u32, bool),
    max_scans: u32,
) -> Result<Vec<u8>, RenderError> {
    decompress(bytes, "TIFF", max_scans, |state| {
        if state.image_width != width || !(height..=max_height).contains(&state.image_height) {
            return Err(RenderError::damaged("TIFF", "a JPEG in it has another size"));
        }
        if u32::try_from(state.num_components) != Ok(components) {
            return Err(RenderError::damaged("TIFF", "a JPEG in it has another number of channels"));
        }
        (state.jpeg_color_space, state.out_color_space) = match components {
            _ if ycbcr => (J_COLOR_SPACE::JCS_YCbCr, J_COLOR_SPACE::JCS_RGB),
            1 => (J_COLOR_SPACE::JCS_GRAYSCALE, J_COLOR_SPACE::JCS_GRAYSCALE),
            3 => (J_COLOR_SPACE::JCS_RGB, J_COLOR_SPACE::JCS_RGB),
            _ => (J_COLOR_SPACE::JCS_CMYK, J_COLOR_SPACE::JCS_CMYK),
        };
        // SAFETY: the header has been read.
        unsafe { jpeg_start_decompress(state) };
        let row_length = width as usize * components as usize;
        let mut samples = vec![0; row_length * state.image_height as usize];
        for rows in samples.chunks_mut(row_length * ROWS) {
            read_rows(state, rows, row_length);
        }
        Ok(samples)
    })
}

/// Reads the header, calls `read`, which reads all rows, and checks that the picture is whole. `format` is the file's in errors.
fn decompress<T>(
    bytes: &[u8],
    format: &'static str,
    max_scans: u32,
    read: impl FnOnce(&mut jpeg_decompress_struct) -> Result<T, RenderError>,
) -> Result<T, RenderError> {
    let mut decompressor = Decompressor::new(max_scans);
    let result = catch(|| {
        let state = &mut *decompressor.state;
        // SAFETY: `bytes` outlives the calls, which are made in the order that libjpeg prescribes.
        unsafe {
            jpeg_mem_src(state, bytes.as_ptr(), bytes.len() as _);
            jpeg_read_header(state, 1);
        }
        let picture = read(state)?;
        let needs_end = jpeg_segments::is_arithmetic(bytes) || !has_all_coefficients(state);
        // SAFETY: all rows have been read.
        unsafe { jpeg_finish_decompress(state) };
        Ok::<_, RenderError>((picture, needs_end))
    });
    // SAFETY: libjpeg is not running, so nothing else accesses it.
    let errors = unsafe { &*decompressor.errors };
    let (picture, needs_end) = match result {
        Ok(result) => result?,
        Err(LibjpegError::Error(cause)) if errors.premature_end => return Err(RenderError::truncated(format, cause)),
        // JERR_OUT_OF_MEMORY: not the file's fault.
        Err(LibjpegError::Error(cause)) if cause.contains("Insufficient memory") => {
            return Err(RenderError::OutOfMemory("libjpeg cannot decode the picture"));
        }
        Err(LibjpegError::Error(cause)) => return Err(RenderError::damaged(format, cause)),
        Err(LibjpegError::Scans) => return Err(RenderError::limit_exceeded(Limit::Scans, max_scans.into())),
    };
    // A file that only lacks its EOI marker is whole. The arithmetic decoder does not tell whether its data has ended.
    match (errors.premature_end, errors.corrupt) {
        (true, corrupt) if corrupt || needs_end => Err(RenderError::truncated(format, "premature end")),
        (_, true) => Err(RenderError::damaged(format, "corrupt data")),
        _ => Ok(picture),
    }
}

/// Whether the scans that were read have all coefficients of all components in full precision. To be called after all rows have
/// been read.
fn has_all_coefficients(state: &jpeg_decompress_struct) -> bool {
    let count = usize::try_from(state.num_components).unwrap_or(0);
    // A sequential file has none.
    if !state.coef_bits.is_null() {
        // SAFETY: libjpeg has as many entries as there are components: the bit position (Al) that each coefficient is known to.
        let known = unsafe { std::slice::from_raw_parts(state.coef_bits.cast::<[c_int; 64]>(), count) };
        return known.as_flattened().iter().all(|position| *position == 0);
    }
    // SAFETY: libjpeg has as many entries as there are components; a component's table is set when its first scan begins.
    let components = unsafe { std::slice::from_raw_parts(state.comp_info, count) };
    components.iter().all(|component| !component.quant_table.is_null())
}

/// libjpeg's progress manager, and the limit of scans that its callback checks.
#[repr(C)]
struct Progress {
    /// First, so that libjpeg's pointer to it is a pointer to the whole struct.
    manager: jpeg_progress_mgr,
    max_scans: u32,
}

struct Decompressor {
    state: Box<jpeg_decompress_struct>,
    errors: *mut ErrorManager,
    progress: *mut Progress,
}

impl Decompressor {
    fn new(max_scans: u32) -> Self {
        // SAFETY: zeroes are valid for all its fields; libjpeg fills it in.
        let mut state: Box<jpeg_decompress_struct> = Box::new(unsafe { zeroed() });
        let errors = ErrorManager::new();
        let manager = jpeg_progress_mgr {
            progress_monitor: Some(check_scans),
            pass_counter: 0,
            pass_limit: 0 as c_long,
            completed_passes: 0,
            total_passes: 0,
        };
        let progress = Box::into_raw(Box::new(Progress { manager, max_scans }));
        state.common.err = errors.cast();
        // SAFETY: the error manager is in place, and all three live as long as this.
        unsafe { jpeg_create_decompress(&raw mut *state) };
        state.common.progress = progress.cast();
        Self { state, errors, progress }
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: created in `new`, and destroyed before what it points to.
        unsafe {
            jpeg_destroy_decompress(&mut self.state);
            drop(Box::from_raw(self.errors));
            drop(Box::from_raw(self.progress));
        }
    }
}

/// Rows read per call.
const ROWS: usize = 16;

/// Reads as many rows as `rows` has, at most [`ROWS`].
fn read_rows(state: &mut jpeg_decompress_struct, rows: &mut [u8], row_length: usize) {
    debug_assert_eq!(row_length, state.output_width as usize * usize::try_from(state.output_components).unwrap_or(0));
    let mut pointers = [ptr::null_mut(); ROWS];
    let mut count = 0;
    for (pointer, row) in pointers.iter_mut().zip(rows.chunks_exact_mut(row_length)) {
        *pointer = row.as_mut_ptr();
        count += 1;
    }
    let mut done = 0;
    while done < count {
        let left = u32::try_from(count - done).unwrap_or(0);
        // SAFETY: each pointer is to a row of the length that libjpeg writes.
        let read = unsafe { jpeg_read_scanlines(state, pointers[done..].as_mut_ptr(), left) };
        if read == 0 {
            throw(LibjpegError::Error("no more rows".to_owned()));
        }
        done += read as usize;
    }
}

fn read_cmyk(
    state: &mut jpeg_decompress_struct,
    raster: &mut Raster<u8>,
    to_srgb: &CmykToSrgb,
) -> Result<(), RenderError> {
    let row_length = raster.row_length();
    let cmyk_length = row_length / 3 * 4;
    let mut cmyk = vec![0; cmyk_length * ROWS];
    for rgb in raster.samples.chunks_mut(row_length * ROWS) {
        let cmyk = &mut cmyk[..rgb.len() / 3 * 4];
        read_rows(state, cmyk, cmyk_length);
        to_srgb.convert(cmyk, rgb)?;
    }
    Ok(())
}

/// libjpeg calls this repeatedly while it decodes.
unsafe extern "C-unwind" fn check_scans(common: &mut jpeg_common_struct) {
    let progress = common.progress.cast::<Progress>();
    let state = ptr::from_mut(common).cast::<jpeg_decompress_struct>();
    // SAFETY: only installed in a decompressor, of which `common` is the first field, together with a `Progress`.
    let (scan, limit) = unsafe { (ptr::addr_of!((*state).input_scan_number).read(), (*progress).max_scans) };
    if u32::try_from(scan).unwrap_or(0) > limit {
        throw(LibjpegError::Scans);
    }
}
