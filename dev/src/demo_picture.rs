//! The picture of `darkroom-dev demo`: a landscape computed from a seed.

use anyhow::Result;
use jpeg_encoder::{ColorType, Encoder};

/// Pixels.
pub(crate) const WIDTH: u16 = 3000;
/// Pixels.
pub(crate) const HEIGHT: u16 = 2000;

/// JPEG quality, typical of a camera.
const QUALITY: u8 = 92;

type Rgb = [f32; 3];

const ZENITH: Rgb = [0.09, 0.13, 0.32];
const HORIZON: Rgb = [0.98, 0.62, 0.38];
const SUN: Rgb = [1.0, 0.93, 0.75];
const RIDGES: [Rgb; 4] = [[0.62, 0.45, 0.50], [0.40, 0.31, 0.44], [0.22, 0.19, 0.33], [0.08, 0.08, 0.17]];
/// Upper edge of the lake, as a fraction of the height.
const SHORE: f32 = 0.72;

/// The picture as a JPEG file.
pub(crate) fn jpeg(seed: u32) -> Result<Vec<u8>> {
    let landscape = Landscape::new(seed);
    let mut pixels = Vec::with_capacity(usize::from(WIDTH) * usize::from(HEIGHT) * 3);
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            let (x, y) = (f32::from(column) / f32::from(WIDTH), f32::from(row) / f32::from(HEIGHT));
            // Sensor noise.
            let grain = (hash(u32::from(column), u32::from(row), seed) - 0.5) * 0.03;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
            pixels.extend(landscape.colour_at(x, y).map(|part| ((part + grain).clamp(0.0, 1.0) * 255.0) as u8));
        }
    }
    let mut file = Vec::new();
    Encoder::new(&mut file, QUALITY).encode(&pixels, WIDTH, HEIGHT, ColorType::Rgb)?;
    Ok(file)
}

struct Landscape {
    seed: u32,
    /// The y coordinate of each ridge in every column.
    crests: Vec<[f32; 4]>,
}

impl Landscape {
    fn new(seed: u32) -> Self {
        let crests = (0..WIDTH).map(|column| {
            let x = f32::from(column) / f32::from(WIDTH);
            [0_u8, 1, 2, 3].map(f32::from).map(|near| {
                let rough = fractal(x * (2.5 + near) + 10.0 * near, near, seed);
                SHORE - 0.34 + 0.085 * near - (rough - 0.5) * (0.42 - 0.07 * near)
            })
        });
        Self { seed, crests: crests.collect() }
    }

    /// The colour at (x, y), both from 0 to 1.
    fn colour_at(&self, x: f32, y: f32) -> Rgb {
        if y < SHORE {
            return self.land(x, y);
        }
        // The lake mirrors the land, darker and distorted by waves that grow towards the viewer.
        let depth = (y - SHORE) / (1.0 - SHORE);
        let wave = (noise(x * 14.0, y * 220.0, self.seed) - 0.5) * (0.006 + 0.03 * depth);
        let reflected = self.land(x + wave, SHORE - (y - SHORE) * 1.6 + wave);
        mix(reflected, ZENITH, 0.25 + 0.3 * depth)
    }

    /// The colour of sky and mountains.
    fn land(&self, x: f32, y: f32) -> Rgb {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the columns")]
        let column = (x.clamp(0.0, 1.0) * f32::from(WIDTH - 1)) as usize;
        for (crest, colour) in self.crests[column].into_iter().zip(RIDGES).rev() {
            if y > crest {
                let rock = fractal(x * 40.0, y * 60.0, self.seed ^ 1) - 0.5;
                let haze = ((SHORE - y) / (SHORE - crest).max(0.01)).clamp(0.0, 1.0);
                return mix(colour, HORIZON, 0.28 * (1.0 - haze)).map(|part| part * (1.0 + 0.35 * rock));
            }
        }
        let sky = mix(ZENITH, HORIZON, (y / 0.55).clamp(0.0, 1.0).powf(1.4));
        let cloud = (fractal(x * 3.0, y * 11.0, self.seed ^ 2) - 0.5).max(0.0) * 1.3;
        let from_sun = ((x - 0.64).powi(2) * 2.2 + (y - 0.33).powi(2)).sqrt();
        let glow = (-from_sun * 7.0).exp() + f32::from(u8::from(from_sun < 0.035));
        mix(mix(sky, HORIZON, cloud), SUN, glow.clamp(0.0, 1.0))
    }
}

fn mix(a: Rgb, b: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|part| a[part] + (b[part] - a[part]) * share)
}

/// Fractal noise of six octaves, 0 to 1.
fn fractal(x: f32, y: f32, seed: u32) -> f32 {
    let scales = (0_u8..6).map(|scale| 0.5_f32.powi(i32::from(scale)));
    scales.map(|size| noise(x / size, y / size, seed) * size).sum::<f32>() / 1.97
}

/// Value noise, 0 to 1, with one lattice point per unit.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "wraps to another lattice point")]
    let at = |dx: f32, dy: f32| hash((x.floor() + dx) as i32 as u32, (y.floor() + dy) as i32 as u32, seed);
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (smooth(x - x.floor()), smooth(y - y.floor()));
    let upper = at(0.0, 0.0) + (at(1.0, 0.0) - at(0.0, 0.0)) * across;
    let lower = at(0.0, 1.0) + (at(1.0, 1.0) - at(0.0, 1.0)) * across;
    upper + (lower - upper) * down
}

/// A hash of a lattice point, 0 to 1.
fn hash(x: u32, y: u32, seed: u32) -> f32 {
    let mut h = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b) ^ seed.wrapping_mul(0xc2b2_ae35);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    f32::from(((h ^ (h >> 15)) >> 16) as u16) / 65_535.0
}
