//! Trellis quantization: rate-distortion optimization of the quantized AC coefficients of a block.
//!
//! Each coefficient may be kept, reduced by one, or zeroed. The choice with the least sum of squared errors and weighted bits is
//! found by dynamic programming: the best path to a nonzero coefficient follows from the best paths to those before it (K.
//! Ramchandran and M. Vetterli, "Rate-distortion optimal fast thresholding with complete JPEG/MPEG decoder compatibility",
//! 1994).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::block::{Block, natural_index};

/// The costs of coding coefficients, in squared quantization steps.
pub(super) struct Trellis {
    /// The cost of a coefficient by the zero run before it and its magnitude bits.
    coefficient_cost: [[f32; 16]; 64],
    /// The cost of an EOB.
    eob_cost: f32,
}

/// A node of the trellis: a nonzero coefficient, and the best path to it.
#[derive(Clone, Copy, Default)]
struct TrellisNode {
    /// The index of the coefficient in zig-zag order.
    index: u32,
    /// The squared errors and weighted bits of the path up to this coefficient.
    cost: f32,
    /// The previous node of the path.
    previous: usize,
    /// Whether the magnitude is reduced by one.
    is_reduced: bool,
    /// The sum of squares of all coefficients up to this one: the error if all were zeroed.
    zeroed_error: f32,
}

impl Trellis {
    /// `cost_per_bit` is in squared quantization steps.
    pub(super) fn new(cost_per_bit: f32) -> Self {
        // Approximate lengths of the Huffman codes of photographs, with 9.5 bits for each ZRL.
        let code_length = |zero_run: u16| 2.0 + 0.5 * f32::from(zero_run % 16) + 9.5 * f32::from(zero_run / 16);
        let mut coefficient_cost = [[0.0; 16]; 64];
        for (zero_run, costs) in (0..).zip(&mut coefficient_cost) {
            for (magnitude_bits, cost) in (0_u16..).zip(costs) {
                *cost = cost_per_bit * (code_length(zero_run) + f32::from(magnitude_bits));
            }
        }
        Self { coefficient_cost, eob_cost: cost_per_bit * 1.5 }
    }

    /// Reduces and zeroes AC coefficients of `block` where this saves more bits than it costs in error. `exact` are the
    /// coefficients before rounding, in quantization steps and natural order.
    #[inline(always)]
    pub(super) fn optimize_block(&self, exact: &[f32; 64], block: &mut Block) {
        // The first node is the DC coefficient. Coefficients that round to zero are zero on every path.
        let mut nodes = [TrellisNode::default(); 64];
        let mut count = 1;
        let mut zeroed_error = 0.0;
        let mut remaining = block.nonzero & !1;
        while remaining != 0 {
            let index = remaining.trailing_zeros();
            remaining &= remaining - 1;
            let magnitude = exact[natural_index(index)].abs();
            let quantized = block.coefficient(index).unsigned_abs();
            let node = self.best_node(&nodes[..count], zeroed_error, index, magnitude, quantized);
            zeroed_error += magnitude * magnitude;
            nodes[count % 64] = TrellisNode { zeroed_error, ..node };
            count += 1;
        }
        // The cost of the block if this node is its last nonzero coefficient.
        let block_cost = |node: &TrellisNode| {
            let eob_cost = if node.index == 63 { 0.0 } else { self.eob_cost };
            node.cost + zeroed_error - node.zeroed_error + eob_cost
        };
        let mut best = 0;
        let mut least = zeroed_error;
        for (i, node) in nodes[..count].iter().enumerate().skip(1) {
            if block_cost(node) < least {
                (best, least) = (i, block_cost(node));
            }
        }
        let mut nonzero = block.nonzero & 1;
        for i in (1..count).rev() {
            let node = nodes[i % 64];
            let coefficient = block.coefficient_mut(node.index);
            if i == best {
                *coefficient -= coefficient.signum() * i16::from(node.is_reduced);
                nonzero |= 1 << node.index;
                best = node.previous;
            } else {
                *coefficient = 0;
            }
        }
        block.nonzero = nonzero;
    }

    /// The best path to the coefficient at `index`, of exact `magnitude` and rounded magnitude `quantized`, through one of
    /// `nodes`. `zeroed_error` is the sum of squares of the coefficients before it.
    #[inline(always)]
    fn best_node(
        &self,
        nodes: &[TrellisNode],
        zeroed_error: f32,
        index: u32,
        magnitude: f32,
        quantized: u16,
    ) -> TrellisNode {
        let rounded = f32::from(quantized);
        let magnitude_bits = |quantized: u16| (u16::BITS - quantized.leading_zeros()) as usize % 16;
        let error = |rounded: f32| (magnitude - rounded) * (magnitude - rounded);
        let choices = [
            (false, error(rounded), magnitude_bits(quantized)),
            (true, error(rounded - 1.0), magnitude_bits(quantized - 1)),
        ];
        let mut best = TrellisNode { index, cost: f32::MAX, ..TrellisNode::default() };
        for (previous, node) in nodes.iter().enumerate().rev() {
            // The error of zeroing the coefficients in between; it only grows towards earlier nodes.
            let error_between = zeroed_error - node.zeroed_error;
            if error_between > best.cost {
                break;
            }
            let path_cost = node.cost + error_between;
            let costs = &self.coefficient_cost[(index - node.index - 1) as usize % 64];
            for (is_reduced, error, magnitude_bits) in choices.into_iter().take(if quantized > 1 { 2 } else { 1 }) {
                let cost = path_cost + error + costs[magnitude_bits];
                if cost < best.cost {
                    best = TrellisNode { cost, previous, is_reduced, ..best };
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cost of a block with these nonzero coefficients in zig-zag order.
    fn cost(trellis: &Trellis, exact: &[f32; 64], coefficients: &[(u32, i16)]) -> f32 {
        let mut error: f32 = (1..64).map(|index| exact[natural_index(index)].powi(2)).sum();
        let mut rate = if coefficients.last().is_some_and(|(index, _)| *index < 63) { trellis.eob_cost } else { 0.0 };
        let mut previous = 0;
        for (index, coefficient) in coefficients {
            let value = exact[natural_index(*index)];
            error += (value - f32::from(*coefficient)).powi(2) - value.powi(2);
            let magnitude_bits = 16 - coefficient.unsigned_abs().leading_zeros() as usize;
            rate += trellis.coefficient_cost[(index - previous - 1) as usize][magnitude_bits];
            previous = *index;
        }
        error + rate
    }

    /// The nonzero coefficients in zig-zag order.
    fn nonzero(block: &Block) -> Vec<(u32, i16)> {
        (0..64).filter(|i| block.nonzero >> i & 1 == 1).map(|i| (i, block.coefficient(i))).collect()
    }

    #[test]
    fn the_cheapest_of_all_choices_is_found() {
        let trellis = Trellis::new(0.1);
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for _ in 0..500 {
            let mut exact = [0.0; 64];
            let mut block = Block { coefficients: [0; 64], nonzero: 0 };
            for _ in 0..6 {
                let index = 1 + random(63);
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let value = random(8000) as f32 / 1000.0 - 4.0;
                exact[natural_index(index)] = value;
                #[expect(clippy::cast_possible_truncation, reason = "small")]
                let quantized = value.round() as i16;
                *block.coefficient_mut(index) = quantized;
                block.nonzero = block.nonzero & !(1 << index) | u64::from(quantized != 0) << index;
            }
            let all = nonzero(&block);
            // Each coefficient is kept, reduced by one, or zeroed.
            let least = (0..3_u32.pow(all.len().try_into().unwrap()))
                .map(|choice| {
                    let chosen = |(i, (index, value)): (u32, &(u32, i16))| match choice / 3_u32.pow(i) % 3 {
                        0 => (*index, *value),
                        1 => (*index, value - value.signum()),
                        _ => (*index, 0),
                    };
                    let coefficients: Vec<_> = (0..).zip(&all).map(chosen).filter(|(_, value)| *value != 0).collect();
                    cost(&trellis, &exact, &coefficients)
                })
                .fold(f32::MAX, f32::min);
            trellis.optimize_block(&exact, &mut block);
            let coefficients = nonzero(&block);
            let found = cost(&trellis, &exact, &coefficients);
            assert!((found - least).abs() < 1e-3, "{found} {least} {all:?} {coefficients:?}");
            assert_eq!(coefficients.len(), block.coefficients.iter().filter(|value| **value != 0).count());
        }
    }
}
