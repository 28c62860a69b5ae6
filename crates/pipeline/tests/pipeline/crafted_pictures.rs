//! Corrupted files are rendered or fail as the file's fault: an internal error would be retried, and a panic would kill the
//! worker's child process.

use std::{num::NonZeroU32, sync::LazyLock};

use darkroom_container::header::HeaderLimits;
use darkroom_model::recipe::{Recipe, Resize};
use darkroom_pipeline::{Limits, render};
use proptest::{prelude::*, sample::Index};

use crate::seeds;

static PICTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(seeds::pictures);

/// Recomputes the checksums of a PNG; chunks with a wrong one are not read.
fn fix_checksums(file: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = file.get(at..at + 4) {
        let end = at + 8 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(chunk) = file.get(at + 4..end) else { return };
        let checksum = crc32(chunk).to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&checksum);
        at = end + 4;
    }
}

/// CRC-32 (W3C PNG, third edition, section 5.5).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// Small, so that a picture whose header claims a large size is refused and not decoded.
fn limits() -> Limits {
    Limits {
        header: HeaderLimits { width: 400, height: 400, pixels: 20_000, frames: 20, scans: 20 },
        ..Limits::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crafted_picture_is_rendered_or_refused(
        picture in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        early in any::<bool>(),
        cut in prop::option::weighted(0.1, any::<Index>()),
        // Small widths cover scaled decoding.
        width in prop::option::of(1_u32..12),
    ) {
        let mut file = picture.get(&PICTURES).clone();
        // Headers and tables come first; changes there reach more code paths.
        let reach = if early { file.len().min(100) } else { file.len() };
        for (at, byte) in changes {
            file[at.index(reach)] = byte;
        }
        if file.starts_with(b"\x89PNG") {
            fix_checksums(&mut file);
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let recipe = match width {
            None => Recipe::Standard,
            Some(width) => Recipe::Resize(Resize { width: NonZeroU32::new(width), ..Resize::default() }),
        };
        if let Err(error) = render(&file, &recipe, &limits(), &mut |_| Ok(())) {
            prop_assert!(error.failure().is_some(), "{error}");
        }
    }
}
