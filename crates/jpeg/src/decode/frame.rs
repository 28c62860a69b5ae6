//! The marker segments before the scan: frame header, scan header and restart interval (T.81, annex B).

use std::rc::Rc;

use darkroom_container::jpeg_marker as marker;

use super::{ac_lookup::AcTable, huffman::HuffmanTable, idct::ReducedIdct, tables::Tables};

/// A frame with a single scan.
pub(super) struct Frame {
    /// Samples per line, X in T.81.
    pub(super) width: u32,
    /// Number of lines, Y in T.81.
    pub(super) height: u32,
    /// One component, or three: Y, Cb and Cr.
    pub(super) components: Vec<Component>,
    /// The largest horizontal and vertical sampling factors, `Hmax` and `Vmax` in T.81.
    pub(super) max_sampling: (usize, usize),
    /// MCUs in a row and in a column.
    pub(super) mcus: (usize, usize),
    /// MCUs between restart markers; `usize::MAX` where restart is disabled.
    pub(super) restart_interval: usize,
}

/// A component of the scan.
pub(super) struct Component {
    /// Horizontal and vertical sampling factors: the data units of this component in an MCU.
    pub(super) sampling: (usize, usize),
    pub(super) idct: ReducedIdct,
    pub(super) dc_table: Rc<HuffmanTable>,
    pub(super) ac_table: Rc<AcTable>,
}

/// The transform flag of Adobe's APP14 segment for YCbCr (Adobe Technical Note #5116).
const ADOBE_YCBCR: u8 = 1;

impl Frame {
    /// Parses the segments up to and including the scan header. Returns the frame, and the bytes after the scan header:
    /// the entropy-coded segments. `None` unless the frame is one that this decoder reads.
    pub(super) fn parse(bytes: &[u8], eighths: u32) -> Option<(Self, &[u8])> {
        let mut rest = bytes.strip_prefix(&[0xFF, marker::SOI])?;
        let mut tables = Tables::default();
        let (mut frame_header, mut restart_interval) = (None, usize::MAX);
        loop {
            let [0xFF, marker, high, low, ..] = *rest else { return None };
            let (segment, after) = rest[2..].split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            let parameters = segment.get(2..)?;
            rest = after;
            match marker {
                marker::DQT => tables.define_quantization(parameters)?,
                marker::DHT => tables.define_huffman(parameters)?,
                marker::SOF0 | marker::SOF1 if frame_header.is_none() => frame_header = Some(parameters),
                marker::DRI => {
                    let mcus = usize::from(u16::from_be_bytes(*parameters.first_chunk()?));
                    restart_interval = if mcus == 0 { usize::MAX } else { mcus };
                }
                marker::APP14 if parameters.starts_with(b"Adobe") && parameters.get(11) != Some(&ADOBE_YCBCR) => {
                    return None;
                }
                marker::APP0..=marker::APP15 | marker::COM => {}
                marker::SOS => {
                    return Some((Self::new(frame_header?, parameters, &tables, restart_interval, eighths)?, rest));
                }
                _ => return None,
            }
        }
    }

    /// From the parameters of a frame header (T.81, section B.2.2) and a scan header (section B.2.3).
    fn new(
        frame_header: &[u8],
        scan_header: &[u8],
        tables: &Tables,
        restart_interval: usize,
        eighths: u32,
    ) -> Option<Self> {
        let (&[8, y1, y2, x1, x2, count], frame_components) = frame_header.split_first_chunk()? else { return None };
        // Ss = 0, Se = 63, Ah = Al = 0: all coefficients, at their full precision.
        let (scan_components, &[0, 63, 0]) = scan_header.strip_prefix(&[count])?.split_last_chunk()? else {
            return None;
        };
        let (frame_components, scan_components) =
            (frame_components.as_chunks::<3>().0, scan_components.as_chunks::<2>().0);
        let count = usize::from(count);
        if !matches!(count, 1 | 3) || frame_components.len() != count || scan_components.len() != count {
            return None;
        }
        let identifiers = frame_components.iter().map(|[identifier, ..]| *identifier);
        // Some encoders mark untransformed RGB by the component identifiers alone, as libjpeg expects it too.
        if identifiers.clone().eq(*b"RGB") || identifiers.ne(scan_components.iter().map(|[selector, _]| *selector)) {
            return None;
        }
        // An MCU of a scan with one component is one data unit, whatever the sampling factors (T.81, section A.2.2).
        let sampling =
            |factors: u8| if count == 1 { (1, 1) } else { (usize::from(factors >> 4), usize::from(factors & 15)) };
        let all_sampling = || frame_components.iter().map(|[_, factors, _]| sampling(*factors));
        let max_sampling = (all_sampling().map(|(h, _)| h).max()?, all_sampling().map(|(_, v)| v).max()?);
        let eighths = eighths as usize;
        let mut components = Vec::new();
        for ([_, factors, quantization_table], [_, entropy_tables]) in frame_components.iter().zip(scan_components) {
            let sampling = sampling(*factors);
            // A subsampled component is reconstructed with as many more samples a block, so that it needs no upsampling.
            let block_side = |factor: usize, max: usize| {
                let samples = eighths * max.checked_div(factor)?;
                (samples * factor == eighths * max && samples <= 8 && eighths * max <= 8).then_some(samples)
            };
            let (columns, rows) = (block_side(sampling.0, max_sampling.0)?, block_side(sampling.1, max_sampling.1)?);
            components.push(Component {
                sampling,
                idct: ReducedIdct::new(columns, rows, tables.quantization(*quantization_table)?, components.is_empty()),
                dc_table: tables.dc(entropy_tables >> 4)?,
                ac_table: tables.ac(entropy_tables & 15)?,
            });
        }
        let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
        let (width, height) = (side(x1, x2), side(y1, y2));
        let mcus = ((width as usize).div_ceil(8 * max_sampling.0), (height as usize).div_ceil(8 * max_sampling.1));
        Some(Self { width, height, components, max_sampling, mcus, restart_interval })
    }

    /// The number of restart intervals, each of which is one entropy-coded segment.
    pub(super) fn restart_intervals(&self) -> usize {
        (self.mcus.0 * self.mcus.1).div_ceil(self.restart_interval)
    }
}
