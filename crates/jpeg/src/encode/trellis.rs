//! Which levels are worth their bits.
//!
//! Of all ways to keep, lower or drop the levels of a block, the one with the least sum of squared errors and bits is found, the
//! bits weighed: the best way that ends in a level follows from the best ways that end in those before it (K. Ramchandran and M.
//! Vetterli, "Rate-distortion optimal fast thresholding with complete JPEG/MPEG decoder compatibility", 1994).

use super::blocks::{Block, place};

/// What bits are worth, in squared steps.
pub(super) struct Trellis {
    /// A level, by the zeros before it and how many bits it has itself.
    level: [[f32; 16]; 64],
    /// Saying that there are no more levels.
    end: f32,
}

/// A way to code the levels up to one that is kept.
#[derive(Clone, Copy, Default)]
struct Way {
    /// Which frequency that level is.
    index: u32,
    cost: f32,
    /// The way before it.
    before: usize,
    /// Whether the level is one less.
    lowered: bool,
    /// The squares of all levels up to here: the error if they were dropped.
    squares: f32,
}

impl Trellis {
    /// `weight` is what a bit is worth.
    pub(super) fn new(weight: f32) -> Self {
        // The lengths of the Huffman codes of photographs, roughly.
        let code = |zeros: u16| 2.0 + 0.5 * f32::from(zeros % 16) + 9.5 * f32::from(zeros / 16);
        let mut level = [[0.0; 16]; 64];
        for (zeros, prices) in (0..).zip(&mut level) {
            for (bits, price) in (0_u16..).zip(prices) {
                *price = weight * (code(zeros) + f32::from(bits));
            }
        }
        Self { level, end: weight * 1.5 }
    }

    /// Lowers and drops levels of `block`, whose exact values are `exact`.
    #[inline(always)]
    pub(super) fn thin(&self, exact: &[f32; 64], block: &mut Block) {
        // The first way has nothing; and what rounds to zero is zero in all of them.
        let mut ways = [Way::default(); 64];
        let mut count = 1;
        let mut squares = 0.0;
        let mut left = block.nonzero & !1;
        while left != 0 {
            let index = left.trailing_zeros();
            left &= left - 1;
            let value = exact[place(index)].abs();
            let way = self.best(&ways[..count], squares, index, value, block.level(index).unsigned_abs());
            squares += value * value;
            ways[count % 64] = Way { squares, ..way };
            count += 1;
        }
        let cost = |way: &Way| {
            let end = if way.index == 63 { 0.0 } else { self.end };
            way.cost + squares - way.squares + end
        };
        let mut best = 0;
        let mut least = squares;
        for (i, way) in ways[..count].iter().enumerate().skip(1) {
            if cost(way) < least {
                (best, least) = (i, cost(way));
            }
        }
        let mut nonzero = block.nonzero & 1;
        for i in (1..count).rev() {
            let way = ways[i % 64];
            let level = block.level_mut(way.index);
            if i == best {
                *level -= level.signum() * i16::from(way.lowered);
                nonzero |= 1 << way.index;
                best = way.before;
            } else {
                *level = 0;
            }
        }
        block.nonzero = nonzero;
    }

    /// The best of the ways that end in a level of this value, rounded to `level`. The levels before it have `squares`.
    #[inline(always)]
    fn best(&self, ways: &[Way], squares: f32, index: u32, value: f32, level: u16) -> Way {
        let rounded = f32::from(level);
        let bits = |level: u16| (u16::BITS - level.leading_zeros()) as usize % 16;
        let error = |rounded: f32| (value - rounded) * (value - rounded);
        let choices = [(false, error(rounded), bits(level)), (true, error(rounded - 1.0), bits(level - 1))];
        let mut best = Way { index, cost: f32::MAX, ..Way::default() };
        for (before, way) in ways.iter().enumerate().rev() {
            let dropped = squares - way.squares;
            if dropped > best.cost {
                break;
            }
            let start = way.cost + dropped;
            let prices = &self.level[(index - way.index - 1) as usize % 64];
            for (lowered, error, bits) in choices.into_iter().take(if level > 1 { 2 } else { 1 }) {
                let cost = start + error + prices[bits];
                if cost < best.cost {
                    best = Way { cost, before, lowered, ..best };
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a block costs whose levels from low to high are these.
    fn cost(trellis: &Trellis, exact: &[f32; 64], levels: &[(u32, i16)]) -> f32 {
        let mut squares: f32 = (1..64).map(|index| exact[place(index)].powi(2)).sum();
        let mut bits = if levels.last().is_some_and(|(index, _)| *index < 63) { trellis.end } else { 0.0 };
        let mut before = 0;
        for (index, level) in levels {
            let value = exact[place(*index)];
            squares += (value - f32::from(*level)).powi(2) - value.powi(2);
            bits += trellis.level[(index - before - 1) as usize][16 - level.unsigned_abs().leading_zeros() as usize];
            before = *index;
        }
        squares + bits
    }

    /// The levels that are not zero, from low to high.
    fn kept(block: &Block) -> Vec<(u32, i16)> {
        (0..64).filter(|i| block.nonzero >> i & 1 == 1).map(|i| (i, block.level(i))).collect()
    }

    #[test]
    fn of_all_ways_the_cheapest_is_found() {
        let trellis = Trellis::new(0.1);
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for _ in 0..500 {
            let mut exact = [0.0; 64];
            let mut block = Block { levels: [0; 64], nonzero: 0 };
            for _ in 0..6 {
                let index = 1 + random(63);
                #[allow(clippy::cast_precision_loss)] // small
                let value = random(8000) as f32 / 1000.0 - 4.0;
                exact[place(index)] = value;
                #[allow(clippy::cast_possible_truncation)] // small
                let level = value.round() as i16;
                *block.level_mut(index) = level;
                block.nonzero = block.nonzero & !(1 << index) | u64::from(level != 0) << index;
            }
            let all = kept(&block);
            // Each level is kept, one less, or dropped.
            let least = (0..3_u32.pow(all.len().try_into().unwrap()))
                .map(|choice| {
                    let lowered = |(i, (index, level)): (u32, &(u32, i16))| match choice / 3_u32.pow(i) % 3 {
                        0 => (*index, *level),
                        1 => (*index, level - level.signum()),
                        _ => (*index, 0),
                    };
                    let levels: Vec<_> = (0..).zip(&all).map(lowered).filter(|(_, level)| *level != 0).collect();
                    cost(&trellis, &exact, &levels)
                })
                .fold(f32::MAX, f32::min);
            trellis.thin(&exact, &mut block);
            let levels = kept(&block);
            let found = cost(&trellis, &exact, &levels);
            assert!((found - least).abs() < 1e-3, "{found} {least} {all:?} {levels:?}");
            assert_eq!(levels.len(), block.levels.iter().filter(|level| **level != 0).count());
        }
    }
}
