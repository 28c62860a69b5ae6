//! Headers, which the api reads before it accepts an upload.
#![no_main]

use std::io::Cursor;

use darkroom_container::header::{self, HeaderLimits};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = HeaderLimits::default();
    if let Ok(header) = header::read(&mut Cursor::new(bytes), &limits) {
        assert!(header.width > 0 && header.height > 0 && header.frames > 0);
        assert!(header.width <= limits.width && header.height <= limits.height && header.frames <= limits.frames);
    }
});
