//! The part of a picture that draws attention.
//!
//! The rules are those of smartcrop.js (Jonas Wagner, MIT). A pixel's score has three parts: the difference of its lightness to
//! its neighbours' (detail), the distance of its colour to skin, and its saturation; skin and saturation count more where there
//! is detail. A window's score is the sum of its pixels', weighted more in its centre than at its edges, so that the subject is
//! centred. Of equal windows the one nearest to the centre of the picture is chosen. Only arithmetic that is the same on every
//! machine is used.

use darkroom_raster::{Raster, Region, linear};

/// The longer side of the preview that is scored, in pixels.
const PREVIEW_SIDE: f64 = 256.0;

/// The direction of skin colours in RGB, of length 1; the least similarity to it; and the range of lightness.
const SKIN: [f32; 3] = [0.735, 0.537, 0.415];
const SKIN_FROM: f32 = 0.8;
const SKIN_BRIGHTNESS: std::ops::RangeInclusive<f32> = 0.2..=1.0;
/// The least saturation of a saturated colour, and its range of lightness.
const SATURATED_FROM: f32 = 0.4;
const SATURATED_BRIGHTNESS: std::ops::RangeInclusive<f32> = 0.05..=0.9;

/// The size of the preview of an area, in pixels; not larger than the area.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to the side of the area")]
pub(crate) fn preview_size(area: Region) -> (u32, u32) {
    let ratio = (PREVIEW_SIDE / area.width.max(area.height)).min(1.0);
    let side = |length: f64| (length * ratio).round().max(1.0) as u32;
    (side(area.width), side(area.height))
}

/// Moves `window` within `area` to where it scores most, without changing its size. `preview` shows the area in linear light.
pub(crate) fn best_window(preview: &Raster<u16>, area: Region, window: Region) -> Region {
    let (columns, rows) = profiles(linear::to_8(preview).flatten_on_white().as_ref());
    // One side of the window is as long as the area's, so it only moves along the other.
    let left = area.left + best_offset(&columns, window.width / area.width) * (area.width - window.width);
    let top = area.top + best_offset(&rows, window.height / area.height) * (area.height - window.height);
    Region { left, top, ..window }
}

/// The scores of each column and each row.
fn profiles(small: &Raster<u8>) -> (Vec<f64>, Vec<f64>) {
    let (width, height) = (small.width as usize, small.height as usize);
    let rgba = small.to_rgba();
    let pixels: Vec<[f32; 3]> =
        rgba.chunks_exact(4).map(|p| [p[0], p[1], p[2]].map(|value| f32::from(value) / 255.0)).collect();
    let lightness: Vec<f32> = pixels.iter().map(|[r, g, b]| 0.2126 * r + 0.7152 * g + 0.0722 * b).collect();
    let (mut columns, mut rows) = (vec![0.0; width], vec![0.0; height]);
    for y in 0..height {
        for x in 0..width {
            let at = |x: usize, y: usize| lightness[y.min(height - 1) * width + x.min(width - 1)];
            let around = at(x.saturating_sub(1), y) + at(x + 1, y) + at(x, y.saturating_sub(1)) + at(x, y + 1);
            let detail = (4.0 * at(x, y) - around).abs().min(1.0);
            let value = f64::from(score(pixels[y * width + x], at(x, y), detail));
            columns[x] += value;
            rows[y] += value;
        }
    }
    (columns, rows)
}

fn score(colour: [f32; 3], lightness: f32, detail: f32) -> f32 {
    let length = colour.iter().map(|value| value * value).sum::<f32>().sqrt();
    let distance = colour.iter().zip(SKIN).map(|(value, skin)| (value / length.max(1e-6) - skin).powi(2)).sum::<f32>();
    let similarity = 1.0 - distance.sqrt();
    let is_skin = similarity > SKIN_FROM && SKIN_BRIGHTNESS.contains(&lightness);
    let skin = if is_skin { (similarity - SKIN_FROM) / (1.0 - SKIN_FROM) } else { 0.0 };

    let (least, most) = colour.iter().fold((1.0_f32, 0.0_f32), |(least, most), v| (least.min(*v), most.max(*v)));
    let spread = (1.0 - (most + least - 1.0).abs()).max(1e-6);
    let saturation = (most - least) / spread;
    let is_strong = saturation > SATURATED_FROM && SATURATED_BRIGHTNESS.contains(&lightness);
    let strong = if is_strong { (saturation - SATURATED_FROM) / (1.0 - SATURATED_FROM) } else { 0.0 };

    0.2 * detail + 1.8 * skin * (detail + 0.01) + 0.1 * strong * (detail + 0.2)
}

/// The offset at which a window of this share of the profile scores most, as a share of the largest offset: 0 to 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most 256 values"
)]
fn best_offset(profile: &[f64], part: f64) -> f64 {
    let length = ((profile.len() as f64 * part).round() as usize).clamp(1, profile.len());
    let spare = profile.len() - length;
    if spare == 0 {
        return 0.5;
    }
    let sum = |offset: usize| -> f64 {
        let weighted = profile[offset..offset + length].iter().enumerate();
        weighted.map(|(i, value)| value * (1.0 - ((2 * i + 1) as f64 / length as f64 - 1.0).powi(2))).sum()
    };
    let share = |offset: usize| offset as f64 / spare as f64;
    let from_middle = |offset: usize| (2 * offset).abs_diff(spare);
    let sums: Vec<f64> = (0..=spare).map(sum).collect();
    let most = sums.iter().copied().fold(0.0, f64::max);
    // Differences by rounding alone do not count.
    let equal = (0..=spare).filter(|offset| sums[*offset] >= most * (1.0 - 1e-9));
    equal.min_by_key(|offset| from_middle(*offset)).map_or(0.5, share)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "whole numbers")]

    use darkroom_raster::{Channels, Samples};

    use super::*;

    fn chosen_window(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Region {
        let samples = (0..width * height).flat_map(|i| colour(i % width, i / width)).collect();
        let picture = Raster { width, height, channels: Channels::Rgb, samples };
        let side = f64::from(width.min(height));
        let window = Region { left: 0.0, top: 0.0, width: side, height: side };
        let linear = linear::from_coded(&Samples::Eight(picture));
        best_window(&linear, Region::whole(&linear), window)
    }

    #[test]
    fn a_plain_picture_is_cropped_to_its_centre() {
        assert_eq!(chosen_window(300, 100, |_, _| [90, 90, 90]).left, 100.0);
    }

    #[test]
    fn the_window_is_centred_on_detail_skin_and_strong_colours() {
        let grain = |x: u32, y: u32| u8::try_from((x * 7 + y * 13) % 5 * 30).unwrap();
        let at = |colour: fn(u8) -> [u8; 3]| {
            chosen_window(400, 100, |x, y| if (300..340).contains(&x) { colour(grain(x, y)) } else { [120, 125, 130] })
                .left
        };
        for colour in [|g: u8| [100 + g; 3], |g: u8| [224 - g / 4, 164 - g / 4, 126 - g / 4], |_| [200, 20, 30]] {
            let left = at(colour);
            assert!((left - 270.0).abs() < 12.0, "{left}");
        }
        let top =
            chosen_window(100, 400, |_, y| if (20..60).contains(&y) { [224, 164, 126] } else { [60, 70, 60] }).top;
        assert!(top < 12.0, "{top}");
    }
}
