//! Run-time dispatch to code that is compiled for several vector widths.
//!
//! A [`SimdKernel`] is plain code in loops that the compiler vectorizes. [`dispatch`] compiles it three times (baseline, AVX2,
//! AVX-512) and runs the best version that the processor supports. All give the same bits: fused multiply-add (`mul_add`) is
//! exactly defined by IEEE 754, so a processor without the instruction (x86-64 before 2013) only computes it more slowly.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

/// Rounds a value between -2²² and 2²² to the nearest integer, halves to even. A cast would truncate, and its saturation checks
/// prevent vectorization.
#[inline(always)]
pub fn round_to_i32(value: f32) -> i32 {
    // Between 2²³ and 2²⁴ the mantissa of a float is an integer; 1.5 · 2²³ leaves room for negative values.
    const WHOLE: f32 = 12_582_912.0;
    (value + WHOLE).to_bits().wrapping_sub(WHOLE.to_bits()).cast_signed()
}

/// Rounds a value between 0 and 255 to the nearest integer, halves to even.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // The caller guarantees 0 to 255.
pub fn round_to_u8(value: f32) -> u8 {
    round_to_i32(value) as u8
}

/// A computation that [`dispatch`] compiles for several vector widths.
pub trait SimdKernel {
    /// The result.
    type Output;

    /// Runs the computation. Must be `#[inline(always)]`, as must every function in it that is to be vectorized: only code that
    /// is inlined into [`dispatch`] is compiled with its target features.
    fn run(self) -> Self::Output;
}

/// Runs `kernel` with the widest vectors that the processor supports.
#[expect(unsafe_code, reason = "calls a function with target features after detecting them")]
pub fn dispatch<K: SimdKernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;

        // The features of x86-64-v3 that matter here (Haswell, 2013), and those of Ice Lake (2019). Processors in between have a
        // part of the second list only, and lower their clock frequency for 512-bit vectors.
        #[target_feature(enable = "avx2,bmi1,bmi2,fma,lzcnt")]
        fn avx2<K: SimdKernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        #[target_feature(enable = "avx2,bmi1,bmi2,fma,lzcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi2")]
        fn avx512<K: SimdKernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        if has!("avx2") && has!("bmi1") && has!("bmi2") && has!("fma") && has!("lzcnt") {
            if has!("avx512f")
                && has!("avx512bw")
                && has!("avx512cd")
                && has!("avx512dq")
                && has!("avx512vl")
                && has!("avx512vbmi2")
            {
                // SAFETY: the processor has every feature that `avx512` enables.
                return unsafe { avx512(kernel) };
            }
            // SAFETY: the processor has every feature that `avx2` enables.
            return unsafe { avx2(kernel) };
        }
    }
    kernel.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_even() {
        let values = [-2.5, -1.5, -0.6, -0.5, 0.0, 0.5, 0.6, 1.5, 2.5, 4_194_303.0, -4_194_303.0];
        assert_eq!(values.map(round_to_i32), [-2, -2, -1, 0, 0, 0, 1, 2, 2, 4_194_303, -4_194_303]);
        assert_eq!([0.0, 0.5, 254.6, 255.0].map(round_to_u8), [0, 0, 255, 255]);
    }

    #[test]
    fn a_kernel_is_run_once() {
        struct Push<'a>(&'a mut Vec<u8>);
        impl SimdKernel for Push<'_> {
            type Output = usize;

            #[inline(always)]
            fn run(self) -> usize {
                self.0.push(1);
                self.0.len()
            }
        }
        let mut calls = Vec::new();
        assert_eq!(dispatch(Push(&mut calls)), 1);
        assert_eq!(calls, [1]);
    }
}
