//! Panics of decoders. A file that makes one panic is refused; it does not end the process, and is not tried again.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use darkroom_model::SourceFormat;

use crate::RenderError;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread will be caught: a decoder is running. A panic hook must not end the process then.
pub fn panic_is_caught() -> bool {
    CAUGHT.get()
}

/// Runs a decoder. Its panic becomes [`RenderError::Faulty`].
pub(crate) fn catch_panic<T>(
    format: SourceFormat,
    decode: impl FnOnce() -> Result<T, RenderError>,
) -> Result<T, RenderError> {
    let outer = CAUGHT.replace(true);
    // Whatever the decoder has left half done is dropped with it.
    let result = catch_unwind(AssertUnwindSafe(decode));
    CAUGHT.set(outer);
    result.unwrap_or_else(|panic| Err(RenderError::decoder_panicked(format, message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use darkroom_model::FailureCode;

    use super::*;

    #[test]
    fn a_panic_of_a_decoder_is_a_failure_of_the_file() {
        let error = catch_panic::<()>(SourceFormat::Jxl, || {
            assert!(panic_is_caught());
            panic!("index {} is out of bounds", 7)
        });
        let error = error.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.code, FailureCode::BrokenImage);
        assert_eq!(failure.detail, "The JPEG XL file is damaged, or of a kind that its decoder does not read.");
        assert!(error.to_string().contains("index 7 is out of bounds"));
        assert!(!panic_is_caught());
        assert_eq!(catch_panic(SourceFormat::Jxl, || Ok(7)).unwrap(), 7);
    }
}
