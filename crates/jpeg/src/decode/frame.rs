//! What the markers before the scan say (T.81, annex B).

use std::rc::Rc;

use super::{
    code::{Code, Frequencies},
    inverse::Inverse,
};

/// A picture in one scan.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    /// One, or three: luminance and the colour differences.
    pub(super) components: Vec<Component>,
    /// Blocks of a unit, across and down, of the component that has most of them.
    pub(super) most: (usize, usize),
    /// How many units there are, across and down.
    pub(super) units: (usize, usize),
    /// Units between restart markers.
    pub(super) interval: usize,
}

pub(super) struct Component {
    /// Blocks of a unit, across and down.
    pub(super) blocks: (usize, usize),
    pub(super) inverse: Inverse,
    pub(super) means: Rc<Code>,
    pub(super) frequencies: Rc<Frequencies>,
}

/// Tables, by the numbers that components name them by.
#[derive(Default)]
struct Tables {
    steps: [Option<[u8; 64]>; 4],
    means: [Option<Rc<Code>>; 4],
    frequencies: [Option<Rc<Frequencies>>; 4],
}

/// Adobe's marker says how colours were transformed: to luminance and differences.
const YCBCR: u8 = 1;

impl Frame {
    /// Reads up to the data of the scan, which is what is left. `None` for all but the usual.
    pub(super) fn read(bytes: &[u8], eighths: u32) -> Option<(Self, &[u8])> {
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        let mut tables = Tables::default();
        let (mut header, mut interval) = (None, usize::MAX);
        loop {
            let [0xFF, marker, high, low, ..] = *rest else { return None };
            let (segment, after) = rest[2..].split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            let body = segment.get(2..)?;
            rest = after;
            match marker {
                0xDB => tables.read_steps(body)?,
                0xC4 => tables.read_codes(body)?,
                // Baseline, or extended.
                0xC0 | 0xC1 if header.is_none() => header = Some(body),
                0xDD => {
                    let units = usize::from(u16::from_be_bytes(*body.first_chunk()?));
                    interval = if units == 0 { usize::MAX } else { units };
                }
                0xEE if body.starts_with(b"Adobe") && body.get(11) != Some(&YCBCR) => return None,
                0xE0..=0xEF | 0xFE => {}
                0xDA => return Some((Self::new(header?, body, &tables, interval, eighths)?, rest)),
                _ => return None,
            }
        }
    }

    fn new(header: &[u8], scan: &[u8], tables: &Tables, interval: usize, eighths: u32) -> Option<Self> {
        let (&[8, y1, y2, x1, x2, count], of_frame) = header.split_first_chunk()? else { return None };
        let (of_scan, &[0, 63, 0]) = scan.strip_prefix(&[count])?.split_last_chunk()? else { return None };
        let (of_frame, of_scan) = (of_frame.as_chunks::<3>().0, of_scan.as_chunks::<2>().0);
        let count = usize::from(count);
        if !matches!(count, 1 | 3) || of_frame.len() != count || of_scan.len() != count {
            return None;
        }
        let named = of_frame.iter().map(|[name, ..]| *name);
        if named.clone().eq(*b"RGB") || named.ne(of_scan.iter().map(|[name, _]| *name)) {
            return None;
        }
        // Of a single component, a unit is a block.
        let blocks =
            |factors: u8| if count == 1 { (1, 1) } else { (usize::from(factors >> 4), usize::from(factors & 15)) };
        let all = || of_frame.iter().map(|[_, factors, _]| blocks(*factors));
        let most = (all().map(|(across, _)| across).max()?, all().map(|(_, down)| down).max()?);
        let eighths = eighths as usize;
        let mut components = Vec::new();
        for ([_, factors, steps], [_, codes]) in of_frame.iter().zip(of_scan) {
            let blocks = blocks(*factors);
            let side = |blocks: usize, most: usize| {
                let samples = eighths * most.checked_div(blocks)?;
                (samples * blocks == eighths * most && samples <= 8 && eighths * most <= 8).then_some(samples)
            };
            let (columns, rows) = (side(blocks.0, most.0)?, side(blocks.1, most.1)?);
            components.push(Component {
                blocks,
                inverse: Inverse::new(columns, rows, tables.steps.get(usize::from(*steps))?.as_ref()?),
                means: tables.means.get(usize::from(codes >> 4))?.clone()?,
                frequencies: tables.frequencies.get(usize::from(codes & 15))?.clone()?,
            });
        }
        let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
        let (width, height) = (side(x1, x2), side(y1, y2));
        let units = ((width as usize).div_ceil(8 * most.0), (height as usize).div_ceil(8 * most.1));
        Some(Self { width, height, components, most, units, interval })
    }

    /// How many intervals between restart markers there are.
    pub(super) fn intervals(&self) -> usize {
        (self.units.0 * self.units.1).div_ceil(self.interval)
    }
}

impl Tables {
    /// Of 8 bits.
    fn read_steps(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((number, table)) = body.split_first() {
            let (steps, others) = table.split_first_chunk()?;
            *self.steps.get_mut(usize::from(*number))? = Some(*steps);
            body = others;
        }
        Some(())
    }

    fn read_codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((number, table)) = body.split_first() {
            let (lengths, symbols) = table.split_first_chunk::<16>()?;
            let count = lengths.iter().map(|count| usize::from(*count)).sum();
            let (symbols, others) = symbols.split_at_checked(count)?;
            let code = Code::new(lengths, symbols)?;
            let number = usize::from(*number);
            match number {
                0..4 if code.is_of_means() => self.means[number] = Some(Rc::new(code)),
                0x10..0x14 => self.frequencies[number - 0x10] = Some(Rc::new(Frequencies::new(code))),
                _ => return None,
            }
            body = others;
        }
        Some(())
    }
}
