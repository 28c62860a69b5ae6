//! How libjpeg's errors become Rust's.
//!
//! libjpeg calls `error_exit` on a fatal error, which must not return; C programs `longjmp` out of it. Here it unwinds:
//! the C code is built with unwind tables (`mozjpeg-sys`' feature `unwinding`), the callbacks are `extern "C-unwind"`,
//! and [`guard`] catches what was thrown. libjpeg is made to be left at any point and destroyed.
#![allow(unsafe_code)] // FFI

use std::{
    any::Any,
    ffi::{CStr, c_int},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr, jpeg_std_error};

#[cfg(panic = "abort")]
compile_error!("libjpeg's errors unwind: build with panic = \"unwind\"");

/// What libjpeg throws.
pub(super) enum Fault {
    /// A fatal error, in libjpeg's words.
    Error(String),
    /// More scans than allowed.
    Scans,
}

/// libjpeg's error manager, and what it has warned of.
#[repr(C)]
pub(super) struct Errors {
    /// First, so that a pointer to it is a pointer to all.
    pub(super) manager: jpeg_error_mgr,
    /// The data ended early.
    pub(super) ended: bool,
    /// The data is wrong, and what is shown in its place is made up.
    pub(super) corrupt: bool,
}

impl Errors {
    /// On the heap, because libjpeg keeps a pointer to it. To be freed with [`Box::from_raw`].
    pub(super) fn new() -> *mut Self {
        // SAFETY: zeroes are valid for its integers, its optional functions and its pointers.
        let mut errors: Box<Self> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: only fills in the struct.
        unsafe { jpeg_std_error(&mut errors.manager) };
        errors.manager.error_exit = Some(throw);
        errors.manager.emit_message = Some(note);
        errors.manager.output_message = Some(ignore);
        Box::into_raw(errors)
    }
}

/// Runs calls into libjpeg and catches what they throw.
pub(super) fn guard<T>(calls: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(calls)).map_err(|thrown: Box<dyn Any + Send>| match thrown.downcast::<Fault>() {
        Ok(fault) => *fault,
        Err(panic) => resume_unwind(panic),
    })
}

/// Throws without running the panic hook: a damaged file is no bug.
pub(super) fn throw_fault(fault: Fault) -> ! {
    resume_unwind(Box::new(fault))
}

unsafe extern "C-unwind" fn throw(cinfo: &mut jpeg_common_struct) {
    // SAFETY: called by libjpeg, so the manager is in place.
    let message = unsafe { message(&*cinfo.err) };
    throw_fault(Fault::Error(message.to_owned()));
}

/// Called with level -1 for a warning that the data is not right, and with others for traces.
unsafe extern "C-unwind" fn note(cinfo: &mut jpeg_common_struct, level: c_int) {
    if level != -1 {
        return;
    }
    let errors = cinfo.err.cast::<Errors>();
    // SAFETY: `err` was set to the first field of an `Errors`, and nothing else refers to it during the call.
    let errors = unsafe { &mut *errors };
    // SAFETY: called by libjpeg, so the manager is in place.
    let message = unsafe { message(&errors.manager) };
    // The codes move with build options; the texts do not.
    match message {
        "Premature end of JPEG file" => errors.ended = true,
        "Corrupt JPEG data: premature end of data segment"
        | "Corrupt JPEG data: bad Huffman code"
        | "Corrupt JPEG data: found marker 0x%02x instead of RST%d" => errors.corrupt = true,
        _ => {}
    }
}

unsafe extern "C-unwind" fn ignore(_: &mut jpeg_common_struct) {}

/// The text of the current message, its parameters not filled in.
unsafe fn message(manager: &jpeg_error_mgr) -> &'static str {
    let Ok(code) = usize::try_from(manager.msg_code) else { return "" };
    if manager.jpeg_message_table.is_null() || manager.msg_code > manager.last_jpeg_message {
        return "";
    }
    // SAFETY: the table is static and has `last_jpeg_message` + 1 entries, each a C string.
    unsafe { CStr::from_ptr((*manager.jpeg_message_table.add(code)).cast()) }.to_str().unwrap_or("")
}
