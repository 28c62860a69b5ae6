//! Replies of a compromised render child to the worker.
#![no_main]

use darkroom_worker::sandbox::protocol::{Reply, read};

const MAX_BODY: u64 = 1 << 16;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = read::<Reply>(&mut &*bytes, MAX_BODY) {
        assert!(frame.body.len() as u64 <= MAX_BODY);
    }
});
