#![no_main]

use darkroom_fuzz::render_only;
use darkroom_model::SourceFormat;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| render_only(SourceFormat::Heic, bytes));
