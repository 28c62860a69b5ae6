//! Quantization and Huffman tables by their destination identifiers (T.81, sections B.2.4.1 and B.2.4.2).

use std::rc::Rc;

use super::{ac_lookup::AcTable, huffman::HuffmanTable};

/// The tables that were defined so far: four destinations of each kind.
#[derive(Default)]
pub(super) struct Tables {
    /// Elements in zig-zag order.
    quantization: [Option<[u8; 64]>; 4],
    dc: [Option<Rc<HuffmanTable>>; 4],
    ac: [Option<Rc<AcTable>>; 4],
}

impl Tables {
    pub(super) fn quantization(&self, destination: u8) -> Option<&[u8; 64]> {
        self.quantization.get(usize::from(destination))?.as_ref()
    }

    pub(super) fn dc(&self, destination: u8) -> Option<Rc<HuffmanTable>> {
        self.dc.get(usize::from(destination))?.clone()
    }

    pub(super) fn ac(&self, destination: u8) -> Option<Rc<AcTable>> {
        self.ac.get(usize::from(destination))?.clone()
    }

    /// Reads the parameters of a DQT segment. `None` for tables of 16-bit elements, Pq = 1, and for damaged ones.
    pub(super) fn define_quantization(&mut self, mut parameters: &[u8]) -> Option<()> {
        while let Some((precision_and_destination, table)) = parameters.split_first() {
            let (elements, rest) = table.split_first_chunk()?;
            *self.quantization.get_mut(usize::from(*precision_and_destination))? = Some(*elements);
            parameters = rest;
        }
        Some(())
    }

    /// Reads the parameters of a DHT segment. `None` if a table is not a valid one.
    pub(super) fn define_huffman(&mut self, mut parameters: &[u8]) -> Option<()> {
        while let Some((class_and_destination, table)) = parameters.split_first() {
            let (bits, values) = table.split_first_chunk::<16>()?;
            let count = bits.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = values.split_at_checked(count)?;
            let table = HuffmanTable::new(bits, values)?;
            let class_and_destination = usize::from(*class_and_destination);
            match class_and_destination {
                0..4 if table.is_dc_table() => self.dc[class_and_destination] = Some(Rc::new(table)),
                0x10..0x14 => self.ac[class_and_destination - 0x10] = Some(Rc::new(AcTable::new(table))),
                _ => return None,
            }
            parameters = rest;
        }
        Some(())
    }
}
