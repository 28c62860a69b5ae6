//! JPEG: progressive, with Huffman codes made for each scan.
//!
//! The steps in their order: [`planes`] parts luminance from colour, [`dct`] turns blocks of them into frequencies,
//! [`quantise`] rounds these to steps, [`trellis`] gives up what costs more bits than it is worth, [`scans`] lays them out
//! as symbols, and [`huffman`] makes codes for those.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

mod blocks;
mod dct;
mod huffman;
mod planes;
mod quantise;
mod scans;
mod trellis;

use darkroom_container::jpeg_segments::write_segment;
use darkroom_model::recipe::{Effort, Quality};

use self::{
    blocks::{Component, components},
    quantise::Quantiser,
    scans::Symbols,
};
use crate::dct::ZIGZAG;
use darkroom_raster::{
    Raster,
    simd::{SimdKernel, dispatch},
};

/// From this quality on, colour is kept at full resolution: half of it would be the largest error left.
const FULL_COLOUR: u8 = 90;

/// Why a picture cannot be encoded as JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// JPEG has no alpha channel.
    #[error("JPEG has no alpha channel")]
    Alpha,
    /// A side is longer than 65,535 pixels (T.81, annex B.2.2).
    #[error("a JPEG has at most 65,535 pixels a side")]
    TooLarge,
}

/// Encodes a picture without alpha, in gray or in colour.
pub fn encode(picture: &Raster<u8>, quality: Quality, effort: Effort) -> Result<Vec<u8>, EncodeError> {
    if picture.channels.has_alpha() {
        return Err(EncodeError::Alpha);
    }
    let side = |length: u32| u16::try_from(length).map_err(|_| EncodeError::TooLarge);
    let sides = (side(picture.width)?, side(picture.height)?);
    Ok(dispatch(Encoding { picture, sides, quality, effort }))
}

struct Encoding<'a> {
    picture: &'a Raster<u8>,
    sides: (u16, u16),
    quality: Quality,
    effort: Effort,
}

impl SimdKernel for Encoding<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let quantisers = Quantiser::of_luminance_and_colour(self.quality, self.effort);
        let components = components(self.picture, self.quality.get() < FULL_COLOUR, &quantisers);
        let mut file = start(self.sides, &components, &quantisers);
        let mut symbols = Symbols::new();
        scans::means(&components, &mut symbols);
        scan(&mut file, &symbols, &[1, 2, 3][..components.len()], 0, 0);
        for (number, from, to) in self.bands() {
            if let Some(component) = components.get(usize::from(*number) - 1) {
                scans::band(component, *from, *to, &mut symbols);
                scan(&mut file, &symbols, &[*number], *from, *to);
            }
        }
        file.extend([0xFF, 0xD9]);
        file
    }
}

impl Encoding<'_> {
    /// The scans behind that of the means, which already show the picture: a component's number and its frequencies.
    fn bands(&self) -> &'static [(u8, u8, u8)] {
        match self.effort {
            Effort::Speed => &[(1, 1, 63), (2, 1, 63), (3, 1, 63)],
            // Luminance first coarse, then fine: the picture is seen earlier, and each has codes of its own.
            Effort::Balanced | Effort::Best => &[(1, 1, 2), (1, 3, 63), (2, 1, 63), (3, 1, 63)],
        }
    }
}

/// All that stands before the scans (T.81, annex B.2). Components are numbered from one.
fn start((width, height): (u16, u16), components: &[Component], quantisers: &[Quantiser; 2]) -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    // Version 1.1, without a density and a preview.
    segment(&mut file, 0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for (number, quantiser) in (0..).zip(quantisers).take(components.len()) {
        let steps = ZIGZAG.map(|place| quantiser.steps[usize::from(place)]);
        segment(&mut file, 0xDB, &[&[number][..], &steps].concat());
    }
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(if components.len() == 1 { 1 } else { 3 });
    for (number, component) in (1..).zip(components) {
        let sampling = if component.factor == 2 { 0x22 } else { 0x11 };
        frame.extend([number, sampling, u8::from(number > 1)]);
    }
    segment(&mut file, 0xC2, &frame);
    file
}

/// A scan of the frequencies `from` to `to` of these components: its codes, its header, and what is in it.
#[inline(always)]
fn scan(file: &mut Vec<u8>, symbols: &Symbols, components: &[u8], from: u8, to: u8) {
    // Means and other frequencies have tables of their own.
    let class = u8::from(from > 0) << 4;
    let codes = symbols.codes();
    let tables = (0..).zip(&codes).take(components.len()).flat_map(|(number, codes)| codes.table(class | number));
    segment(file, 0xC4, &tables.collect::<Vec<_>>());
    let mut header = vec![if components.len() == 1 { 1 } else { 3 }];
    for (number, table) in components.iter().zip([0, 0x11, 0x11]) {
        header.extend([*number, table]);
    }
    header.extend([from, to, 0]);
    segment(file, 0xDA, &header);
    symbols.write(&codes, file);
}

/// The longest segment, of two Huffman tables, has 546 bytes.
fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    write_segment(file, marker, body).expect("it is shorter than 65,533 bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_raster::Channels;

    #[test]
    fn the_same_file_comes_out_with_and_without_wide_vectors() {
        let samples = (0..75 * 53 * 3_u32).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
        let picture = &Raster { width: 75, height: 53, channels: Channels::Rgb, samples };
        for (quality, effort) in [(80, Effort::Balanced), (95, Effort::Best), (30, Effort::Best)] {
            let encoding = || Encoding { picture, sides: (75, 53), quality: Quality::new(quality).unwrap(), effort };
            assert!(dispatch(encoding()) == encoding().run(), "{quality}");
        }
    }
}
