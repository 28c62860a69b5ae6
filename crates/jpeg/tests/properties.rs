//! Properties of the decoder and the encoder, on random files and pictures.
#![expect(clippy::cast_possible_truncation, reason = "samples are the low bits of larger numbers")]

use darkroom_jpeg::{Channels, Effort, Quality, Raster, decode_reduced, encode};
use darkroom_test_pictures::Baseline;
use proptest::prelude::*;

proptest! {
    /// A decoder of untrusted files must neither panic nor return another size than it was asked for.
    #[test]
    fn a_mutated_file_is_refused_or_decoded_to_the_expected_size(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        interval in 0..5_u16,
        eighths in 1..=4_u32,
    ) {
        let mut file = Baseline { interval, ..Baseline::new(40, 24) }.encode(|x, y| [x as u8 * 6, y as u8 * 9, 99]);
        for (at, value) in edits {
            let at = at.index(file.len());
            file[at] = value;
        }
        file.truncate(cut.index(file.len() * 4).max(1));
        if let Ok(raster) = decode_reduced(&file, (40, 24), eighths) {
            prop_assert_eq!((raster.width, raster.height), (5 * eighths, 3 * eighths));
        }
    }

    /// Every size has its partial MCUs, and every file ends with EOI after a whole number of marker segments and scans.
    #[test]
    fn every_size_and_setting_is_encoded(
        (width, height) in (1..40_u32, 1..40_u32),
        gray in any::<bool>(),
        quality in 1..=100_u8,
        seed in any::<u32>(),
    ) {
        let channels = if gray { Channels::Gray } else { Channels::Rgb };
        let mut raster = Raster::new(width, height, channels);
        for (sample, i) in raster.samples.iter_mut().zip(0_u32..) {
            *sample = (i.wrapping_mul(seed | 1) >> 13) as u8;
        }
        for effort in [Effort::Speed, Effort::Balanced, Effort::Best] {
            let file = encode(&raster, Quality::new(quality).unwrap(), effort).unwrap();
            prop_assert!(file.starts_with(&[0xFF, 0xD8]) && file.ends_with(&[0xFF, 0xD9]));
            let scans = file.windows(2).filter(|marker| *marker == [0xFF, 0xDA]).count();
            prop_assert_eq!(scans, match (gray, effort) { (true, Effort::Speed) => 2, (true, _) => 3, (false, Effort::Speed) => 4, _ => 5 });
        }
    }
}
