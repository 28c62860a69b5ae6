//! What `auto` chooses.

use darkroom_dev::pictures;
use darkroom_shared::image::{Recipe, RenditionFormat, Resize};
use darkroom_worker::pipeline::{Limits, Rendered, render};

fn rendered(source: &[u8], format: Option<RenditionFormat>) -> Rendered {
    let recipe = Recipe::Resize(Resize { format, ..Resize::default() });
    let mut made = Vec::new();
    render(source, &recipe, &Limits::default(), &mut |rendition| {
        made.push(rendition);
        Ok(())
    })
    .unwrap();
    made.pop().unwrap()
}

fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let samples: Vec<u8> =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| colour(x, y)).collect();
    pictures::png(width, height, ::png::ColorType::Rgb, ::png::BitDepth::Eight, &samples)
}

/// Repeats the same values, without any order in them.
fn noise(x: u32, y: u32) -> u32 {
    let mixed = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
    mixed >> 24
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
        let chosen = rendered(&source, None);
        // AVIF is not among what it chooses from: it takes several times as long.
        for format in RenditionFormat::ALL.iter().filter(|format| **format != RenditionFormat::Avif) {
            let fixed = rendered(&source, Some(*format));
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
