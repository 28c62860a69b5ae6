//! Any pixels and settings as lossy WebP.
#![no_main]

use darkroom_model::recipe::{Effort, Quality};
use darkroom_raster::{Channels, Raster};

libfuzzer_sys::fuzz_target!(|input: (u8, u8, u8, u8, &[u8])| {
    let (width, height, quality, setting, samples) = input;
    let channels = if setting & 1 == 0 { Channels::Rgb } else { Channels::Gray };
    let effort = [Effort::Speed, Effort::Balanced, Effort::Best][usize::from(setting >> 1) % 3];
    let mut raster = Raster::new(u32::from(width % 80) + 1, u32::from(height % 80) + 1, channels);
    // Repeated, so that a short input fills the picture.
    for (target, sample) in raster.samples.iter_mut().zip(samples.iter().cycle()) {
        *target = *sample;
    }
    let quality = Quality::new(quality % 100 + 1).unwrap_or_default();
    let file = darkroom_webp::encode(&raster, quality, effort).unwrap();
    assert!(file.starts_with(b"RIFF") && file.len() % 2 == 0);
});
