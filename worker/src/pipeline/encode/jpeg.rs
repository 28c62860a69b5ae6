//! JPEG with optimal Huffman tables, and progressive: a browser shows all of it before all of it is there.
#![allow(unsafe_code)] // FFI

use std::{ffi::c_int, mem::zeroed};

use darkroom_shared::image::{Effort, Quality};
use mozjpeg_sys::{
    J_COLOR_SPACE, J_INT_PARAM, JINT_COMPRESS_PROFILE_VALUE, boolean, jpeg_c_set_int_param, jpeg_compress_struct,
    jpeg_create_compress, jpeg_destination_mgr, jpeg_destroy_compress, jpeg_finish_compress, jpeg_scan_info,
    jpeg_set_defaults, jpeg_set_quality, jpeg_start_compress, jpeg_write_scanlines,
};

use crate::pipeline::{
    RenderError,
    libjpeg::{Errors, Fault, guard},
    raster::{Channels, Raster},
};

/// From this quality on, colour is kept at full resolution: half of it would be the largest error left.
const FULL_COLOUR: u8 = 90;

/// mozjpeg's number for quantisation tables that save about a tenth of the bytes that the standard's own (T.81, annex K)
/// take at equal SSIMULACRA2, for nothing.
const TABLES: i32 = 3;

/// The scans of a progressive file: the means of all blocks, which already show the picture; luminance, coarse and fine;
/// colour. libjpeg's own ten (`jpeg_simple_progression`) take twice the time for the same bytes: each passes over the picture
/// twice, and those for single bits gain little. One scan for all takes a quarter less time, and 1.6 % more bytes.
const COLOUR_SCANS: &[jpeg_scan_info] =
    &[scan(3, 0, 0, 0), scan(1, 0, 1, 2), scan(1, 0, 3, 63), scan(1, 1, 1, 63), scan(1, 2, 1, 63)];
const GRAY_SCANS: &[jpeg_scan_info] = &[scan(1, 0, 0, 0), scan(1, 0, 1, 2), scan(1, 0, 3, 63)];

/// A scan of the coefficients `from` to `to` of `count` components from `first` on (T.81, annex G).
const fn scan(count: c_int, first: c_int, from: c_int, to: c_int) -> jpeg_scan_info {
    let component_index = [first, first + 1, first + 2, first + 3];
    jpeg_scan_info { comps_in_scan: count, component_index, Ss: from, Se: to, Ah: 0, Al: 0 }
}

/// Encodes a picture without alpha.
pub(super) fn encode(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, RenderError> {
    let mut compressor = Compressor::new();
    match guard(|| compressor.run(picture, quality, effort)) {
        Ok(result) => result.map(|()| compressor.take()),
        Err(Fault::Error(cause)) => Err(RenderError::bug(cause)),
        Err(Fault::Scans) => Err(RenderError::bug("scans are only read")),
    }
}

/// How much the output grows at a time, in bytes.
const STEP: usize = 64 << 10;

/// libjpeg's destination manager, and the bytes that it writes.
#[repr(C)]
struct Destination {
    /// First, so that a pointer to it is a pointer to all.
    manager: jpeg_destination_mgr,
    bytes: Vec<u8>,
}

struct Compressor {
    state: Box<jpeg_compress_struct>,
    errors: *mut Errors,
    destination: *mut Destination,
}

impl Compressor {
    fn new() -> Self {
        // SAFETY: zeroes are valid for all its fields; libjpeg fills it in.
        let mut state: Box<jpeg_compress_struct> = Box::new(unsafe { zeroed() });
        let errors = Errors::new();
        let manager = jpeg_destination_mgr {
            next_output_byte: std::ptr::null_mut(),
            free_in_buffer: 0,
            init_destination: Some(begin),
            empty_output_buffer: Some(grow),
            term_destination: Some(end),
        };
        let destination = Box::into_raw(Box::new(Destination { manager, bytes: Vec::new() }));
        state.common.err = errors.cast();
        // SAFETY: the error manager is in place, and all three live as long as this.
        unsafe { jpeg_create_compress(&raw mut *state) };
        state.dest = destination.cast();
        Self { state, errors, destination }
    }

    /// To be called in [`guard`].
    fn run(&mut self, picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<(), RenderError> {
        let state = &mut *self.state;
        state.image_width = picture.width;
        state.image_height = picture.height;
        (state.in_color_space, state.input_components) = match picture.channels {
            Channels::Gray => (J_COLOR_SPACE::JCS_GRAYSCALE, 1),
            Channels::Rgb => (J_COLOR_SPACE::JCS_RGB, 3),
            Channels::GrayAlpha | Channels::Rgba => return Err(RenderError::bug("JPEG has no transparency")),
        };
        let colours = picture.channels == Channels::Rgb;
        let scans = if colours { COLOUR_SCANS } else { GRAY_SCANS };
        let count = c_int::try_from(scans.len()).map_err(RenderError::bug)?;
        // SAFETY: the calls are made in the order that libjpeg prescribes; after `jpeg_set_defaults` the components
        // are there.
        unsafe {
            let profile = match effort {
                Effort::Speed | Effort::Balanced => JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST,
                Effort::Best => JINT_COMPRESS_PROFILE_VALUE::JCP_MAX_COMPRESSION,
            };
            jpeg_c_set_int_param(state, J_INT_PARAM::JINT_COMPRESS_PROFILE, profile as i32);
            jpeg_set_defaults(state);
            jpeg_c_set_int_param(state, J_INT_PARAM::JINT_BASE_QUANT_TBL_IDX, TABLES);
            jpeg_set_quality(state, quality.get().into(), 1);
            state.optimize_coding = 1;
            if colours {
                let factor = if quality.get() >= FULL_COLOUR { 1 } else { 2 };
                (*state.comp_info).h_samp_factor = factor;
                (*state.comp_info).v_samp_factor = factor;
            }
            if effort == Effort::Balanced {
                state.scan_info = scans.as_ptr();
                state.num_scans = count;
            }
            jpeg_start_compress(state, 1);
        }
        for row in picture.samples.chunks_exact(picture.row_length()) {
            let rows = [row.as_ptr()];
            // SAFETY: one pointer, to a row of the length that libjpeg reads.
            unsafe { jpeg_write_scanlines(state, rows.as_ptr(), 1) };
        }
        // SAFETY: all rows are written.
        unsafe { jpeg_finish_compress(state) };
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        // SAFETY: libjpeg has finished and no longer writes.
        std::mem::take(unsafe { &mut (*self.destination).bytes })
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: created in `new`, and destroyed before what it points to.
        unsafe {
            jpeg_destroy_compress(&mut self.state);
            drop(Box::from_raw(self.errors));
            drop(Box::from_raw(self.destination));
        }
    }
}

/// Gives libjpeg the next free bytes, after the first `used` of the buffer.
fn offer(destination: &mut Destination, used: usize) {
    destination.bytes.resize(used + STEP.max(used), 0);
    let free = &mut destination.bytes[used..];
    destination.manager.next_output_byte = free.as_mut_ptr();
    destination.manager.free_in_buffer = free.len();
}

/// SAFETY: `dest` must be the first field of a [`Destination`].
unsafe fn destination(state: &mut jpeg_compress_struct) -> &mut Destination {
    // SAFETY: as the caller promises.
    unsafe { &mut *state.dest.cast::<Destination>() }
}

unsafe extern "C-unwind" fn begin(state: &mut jpeg_compress_struct) {
    // SAFETY: only installed in a `Compressor`.
    offer(unsafe { destination(state) }, 0);
}

/// Called when the buffer is full, whatever `free_in_buffer` says.
unsafe extern "C-unwind" fn grow(state: &mut jpeg_compress_struct) -> boolean {
    // SAFETY: only installed in a `Compressor`.
    let destination = unsafe { destination(state) };
    let used = destination.bytes.len();
    offer(destination, used);
    1
}

unsafe extern "C-unwind" fn end(state: &mut jpeg_compress_struct) {
    // SAFETY: only installed in a `Compressor`.
    let destination = unsafe { destination(state) };
    let used = destination.bytes.len() - destination.manager.free_in_buffer;
    destination.bytes.truncate(used);
}
