//! The format chosen by `auto`.

use darkroom_model::{RenditionFormat, recipe::Resize};
use darkroom_pipeline::Rendered;
use darkroom_test_pictures::mixed;

use crate::rendered::{self, png};

fn made(source: &[u8], format: Option<RenditionFormat>) -> Rendered {
    rendered::one(source, Resize { format, ..Resize::default() }).unwrap().1
}

fn noise(x: u32, y: u32) -> u32 {
    mixed(x, y) >> 24
}

#[test]
fn auto_is_never_larger_than_the_best_fixed_choice() {
    for (what, source) in [
        ("one colour", png(300, 200, |_, _| [10, 20, 30])),
        ("two colours in stripes", png(300, 200, |x, _| if x / 3 % 2 == 0 { [0; 3] } else { [255; 3] })),
        ("a dozen colours in a small icon", png(48, 48, |x, y| [(x / 16 * 80) as u8, (y / 12 * 60) as u8, 0])),
        ("a small icon of many colours", png(64, 64, |x, y| [(x * 4) as u8, (y * 4) as u8, (noise(x, y) / 8) as u8])),
        ("a gradient", png(400, 300, |x, y| [(x / 2) as u8, (y / 2) as u8, 128])),
        ("a gray gradient", png(400, 300, |x, y| [((x + y) / 3) as u8; 3])),
        ("noise", png(300, 200, |x, y| [noise(x, y) as u8, noise(y, x) as u8, noise(x + 9, y) as u8])),
        ("gray noise", png(300, 200, |x, y| [noise(x, y) as u8; 3])),
    ] {
        let chosen = made(&source, None);
        // AVIF is not a candidate: it takes several times as long.
        for format in RenditionFormat::ALL.iter().filter(|format| **format != RenditionFormat::Avif) {
            let fixed = made(&source, Some(*format));
            assert!(
                chosen.bytes.len() <= fixed.bytes.len(),
                "{what}: {} of {} bytes, {format} has {}",
                chosen.format,
                chosen.bytes.len(),
                fixed.bytes.len()
            );
        }
    }
}
