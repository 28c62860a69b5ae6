//! The marker segments of a file: tables, frame header and scan headers (T.81, annex B).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use darkroom_container::{
    jpeg_marker::{APP0, DHT, DQT, SOF2, SOI, SOS},
    jpeg_segments::write_segment,
};

use super::{component::Component, quantization::Quantizer, symbols::ScanSymbols};
use crate::zigzag::ZIGZAG;

/// The markers and segments before the first scan: SOI, JFIF's APP0, DQT and SOF2. Component identifiers count from 1.
pub(super) fn start_of_file(
    (width, height): (u16, u16),
    components: &[Component],
    quantizers: &[Quantizer; 2],
) -> Vec<u8> {
    let mut file = vec![0xFF, SOI];
    // JFIF 1.01: no density unit, an aspect ratio of 1:1, no thumbnail.
    segment(&mut file, APP0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for (destination, quantizer) in (0..).zip(quantizers).take(components.len()) {
        let elements = ZIGZAG.map(|index| quantizer.table[usize::from(index)]);
        segment(&mut file, DQT, &[&[destination][..], &elements].concat());
    }
    // Sample precision in bits, number of lines, samples per line, number of components (section B.2.2).
    let mut frame_header = vec![8];
    frame_header.extend(height.to_be_bytes());
    frame_header.extend(width.to_be_bytes());
    frame_header.push(if components.len() == 1 { 1 } else { 3 });
    for (identifier, component) in (1..).zip(components) {
        let sampling = if component.sampling_factor == 2 { 0x22 } else { 0x11 };
        frame_header.extend([identifier, sampling, u8::from(identifier > 1)]);
    }
    segment(&mut file, SOF2, &frame_header);
    file
}

/// A scan of the coefficients `ss` to `se` in zig-zag order: its Huffman tables (DHT), its header (SOS) and its
/// entropy-coded segment. `components` are identifiers.
#[inline(always)]
pub(super) fn write_scan(file: &mut Vec<u8>, symbols: &ScanSymbols, components: &[u8], ss: u8, se: u8) {
    // Table class Tc: 0 for DC, 1 for AC tables (section B.2.4.2).
    let class = u8::from(ss > 0) << 4;
    let tables = symbols.huffman_tables();
    let specifications = (0..)
        .zip(&tables)
        .take(components.len())
        .flat_map(|(destination, table)| table.specification(class | destination));
    segment(file, DHT, &specifications.collect::<Vec<_>>());
    let mut scan_header = vec![if components.len() == 1 { 1 } else { 3 }];
    for (identifier, entropy_tables) in components.iter().zip([0, 0x11, 0x11]) {
        scan_header.extend([*identifier, entropy_tables]);
    }
    // Successive approximation is not used: Ah = Al = 0.
    scan_header.extend([ss, se, 0]);
    segment(file, SOS, &scan_header);
    symbols.write(&tables, file);
}

/// The longest of these segments, with two Huffman tables, has 546 bytes.
fn segment(file: &mut Vec<u8>, marker: u8, parameters: &[u8]) {
    write_segment(file, marker, parameters).expect("a segment of at most 65,533 bytes");
}
