//! What booleans cost, in 256ths of a bit.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

/// −256 · log₂(probability / 256). The first entry is not a probability.
pub(crate) static BIT_COSTS: [u16; 257] = {
    let mut costs = [2048; 257];
    let mut probability = 1;
    while probability <= 256 {
        costs[probability] = 2048 - log2(probability);
        probability += 1;
    }
    costs
};

/// 256 · log₂ of 1 to 256, in integers, so that every machine has the same.
#[expect(clippy::cast_possible_truncation, reason = "at most 2,048")]
const fn log2(value: usize) -> u16 {
    let whole = value.ilog2();
    // The fraction: each squaring of a value between 1 and 2 shows one bit.
    let mut square = (value as u64) << (30 - whole);
    let mut result = whole as u16;
    let mut bit = 0;
    while bit < 8 {
        square = (square * square) >> 30;
        let carry = square >> 31;
        square >>= carry;
        result = result * 2 + carry as u16;
        bit += 1;
    }
    result
}

/// The cost of coding a boolean. `probability` is that of `false`, in 256ths.
#[inline(always)]
pub(crate) fn bit_cost(value: bool, probability: u8) -> u32 {
    let index = if value { 256 - usize::from(probability) } else { usize::from(probability) };
    BIT_COSTS[index].into()
}
