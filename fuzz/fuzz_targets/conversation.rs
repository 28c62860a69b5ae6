//! All that a compromised render child may reply to one request, until it ends.
#![no_main]

use std::{collections::HashSet, time::Duration};

use darkroom_worker::sandbox::{
    SandboxError,
    conversation::{Ended, RemainingTime, receive_renditions},
};
use tokio::{runtime::Builder, sync::mpsc};

const MAX_BYTES: u64 = 1 << 16;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(runtime) = Builder::new_current_thread().enable_time().build() else { return };
    runtime.block_on(async {
        // More renditions than a request may have, so that no one waits for the receiver.
        let (sender, mut receiver) = mpsc::channel(1 << 10);
        let mut remaining = RemainingTime::new(Duration::from_secs(60));
        let ended = receive_renditions(&mut &*bytes, MAX_BYTES, &mut remaining, &sender).await;
        drop(sender);
        let (mut names, mut length) = (HashSet::new(), 0);
        while let Some(rendition) = receiver.recv().await {
            length += rendition.bytes.len() as u64;
            assert!(rendition.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)));
            assert!(names.insert(rendition.name), "a name occurs twice");
        }
        assert!(length <= MAX_BYTES);
        match ended {
            Ok(analysis) => assert!(analysis.placeholder.len() <= 25),
            Err(Ended::Error(SandboxError::Refused { failure, cause })) => {
                assert!(failure.detail.chars().count() <= 300 && !failure.detail.contains(char::is_control));
                assert!(cause.chars().count() <= 1000);
            }
            Err(Ended::Late) => panic!("it ended in time"),
            Err(_) => {}
        }
    });
});
