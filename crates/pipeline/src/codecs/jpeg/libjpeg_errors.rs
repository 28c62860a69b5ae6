//! Turns libjpeg's errors into Rust errors.
//!
//! On a fatal error libjpeg calls `error_exit`, which must not return; C programs `longjmp` out of it. Here it unwinds: the C
//! code is built with unwind tables (`mozjpeg-sys`' feature `unwinding`), the callbacks are `extern "C-unwind"`, and
//! [`catch`] catches the panic payload. libjpeg allows leaving it at any point and destroying it afterwards.
#![expect(unsafe_code, reason = "FFI")]

use std::{
    any::Any,
    ffi::{CStr, c_int},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr, jpeg_std_error};

#[cfg(panic = "abort")]
compile_error!("libjpeg's errors unwind: build with panic = \"unwind\"");

/// Why decoding was aborted.
pub(super) enum LibjpegError {
    /// A fatal error, with libjpeg's message.
    Error(String),
    /// More scans than allowed.
    Scans,
}

/// libjpeg's error manager, and the warnings that were seen.
#[repr(C)]
pub(super) struct ErrorManager {
    /// First, so that libjpeg's pointer to it is a pointer to the whole struct.
    pub(super) manager: jpeg_error_mgr,
    /// The data ended early.
    pub(super) premature_end: bool,
    /// Entropy-coded data is corrupt; libjpeg filled the affected blocks in.
    pub(super) corrupt: bool,
}

impl ErrorManager {
    /// On the heap, because libjpeg keeps a pointer to it. To be freed with [`Box::from_raw`].
    pub(super) fn new() -> *mut Self {
        // SAFETY: zeroes are valid for its integers, its optional functions and its pointers.
        let mut errors: Box<Self> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: only fills in the struct.
        unsafe { jpeg_std_error(&mut errors.manager) };
        errors.manager.error_exit = Some(error_exit);
        errors.manager.emit_message = Some(emit_message);
        errors.manager.output_message = Some(output_message);
        Box::into_raw(errors)
    }
}

/// Runs calls into libjpeg and returns the error they were aborted with.
pub(super) fn catch<T>(calls: impl FnOnce() -> T) -> Result<T, LibjpegError> {
    catch_unwind(AssertUnwindSafe(calls)).map_err(|thrown: Box<dyn Any + Send>| {
        match thrown.downcast::<LibjpegError>() {
            Ok(error) => *error,
            Err(panic) => resume_unwind(panic),
        }
    })
}

/// Unwinds without running the panic hook: a damaged file is not a bug.
pub(super) fn throw(error: LibjpegError) -> ! {
    resume_unwind(Box::new(error))
}

unsafe extern "C-unwind" fn error_exit(cinfo: &mut jpeg_common_struct) {
    // SAFETY: called by libjpeg, so the manager is in place.
    let message = unsafe { message(&*cinfo.err) };
    throw(LibjpegError::Error(message.to_owned()));
}

/// Level -1 is a warning about corrupt data; other levels are traces.
unsafe extern "C-unwind" fn emit_message(cinfo: &mut jpeg_common_struct, level: c_int) {
    if level != -1 {
        return;
    }
    let errors = cinfo.err.cast::<ErrorManager>();
    // SAFETY: `err` was set to the first field of an `ErrorManager`, and nothing else refers to it during the call.
    let errors = unsafe { &mut *errors };
    // SAFETY: called by libjpeg, so the manager is in place.
    let message = unsafe { message(&errors.manager) };
    // Message codes depend on build options; texts do not.
    match message {
        "Premature end of JPEG file" => errors.premature_end = true,
        "Corrupt JPEG data: premature end of data segment"
        | "Corrupt JPEG data: bad Huffman code"
        | "Corrupt JPEG data: bad arithmetic code"
        | "Corrupt JPEG data: found marker 0x%02x instead of RST%d" => errors.corrupt = true,
        _ => {}
    }
}

unsafe extern "C-unwind" fn output_message(_: &mut jpeg_common_struct) {}

/// The text of the current message, without its parameters.
unsafe fn message(manager: &jpeg_error_mgr) -> &'static str {
    let Ok(code) = usize::try_from(manager.msg_code) else { return "" };
    if manager.jpeg_message_table.is_null() || manager.msg_code > manager.last_jpeg_message {
        return "";
    }
    // SAFETY: the table is static and has `last_jpeg_message` + 1 entries, each a C string.
    unsafe { CStr::from_ptr((*manager.jpeg_message_table.add(code)).cast()) }.to_str().unwrap_or("")
}
