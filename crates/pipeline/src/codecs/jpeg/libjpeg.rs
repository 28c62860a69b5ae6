//! Decoding by libjpeg (mozjpeg): every kind of JPEG, CMYK too.
#![expect(unsafe_code, reason = "FFI")]

use std::{ffi::c_long, mem::zeroed, ptr};

use darkroom_container::header::{Header, Limit};
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
    let mut decompressor = Decompressor::new(max_scans);
    let result = catch(|| decompressor.run(bytes, header, eighths, profile));
    // SAFETY: libjpeg is not running, so nothing else accesses it.
    let errors = unsafe { &*decompressor.errors };
    let raster = match result {
        Ok(raster) => raster?,
        Err(LibjpegError::Error(cause)) if errors.premature_end => return Err(RenderError::truncated("JPEG", cause)),
        // JERR_OUT_OF_MEMORY: not the file's fault.
        Err(LibjpegError::Error(cause)) if cause.contains("Insufficient memory") => {
            return Err(RenderError::OutOfMemory("libjpeg cannot decode the picture"));
        }
        Err(LibjpegError::Error(cause)) => return Err(RenderError::damaged("JPEG", cause)),
        Err(LibjpegError::Scans) => return Err(RenderError::limit_exceeded(Limit::Scans, max_scans.into())),
    };
    // A baseline file that only lacks its EOI marker is whole; a file of several scans may lack the last of them.
    match (errors.premature_end, errors.corrupt) {
        (true, corrupt) if corrupt || header.scans > 1 => Err(RenderError::truncated("JPEG", "premature end")),
        (_, true) => Err(RenderError::damaged("JPEG", "corrupt data")),
        _ => Ok(raster),
    }
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

    /// Must be called inside [`catch`], because libjpeg's errors unwind.
    fn run(
        &mut self,
        bytes: &[u8],
        header: &Header,
        eighths: u32,
        profile: Option<&[u8]>,
    ) -> Result<Raster<u8>, RenderError> {
        let state = &mut *self.state;
        // SAFETY: `bytes` outlives the calls, which are made in the order that libjpeg prescribes.
        unsafe {
            jpeg_mem_src(state, bytes.as_ptr(), bytes.len() as _);
            jpeg_read_header(state, 1);
        }
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
        // SAFETY: all rows have been read.
        unsafe { jpeg_finish_decompress(state) };
        Ok(raster)
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
