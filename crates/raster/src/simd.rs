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

/// Looks up bytes in a table of 48: `results[i] = table[indices[i]]`. Indices must be below 48.
///
/// This is one instruction for 64 bytes where the processor has AVX-512 VBMI, and a few for 32 with AVX2; a loop would be one
/// load and one store for each byte.
#[expect(unsafe_code, reason = "calls functions with target features after detecting them")]
#[inline(always)]
pub fn lookup_48(table: &[u8; 64], indices: &[[u8; 16]; 16], results: &mut [[u8; 16]; 16]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;

        if has!("avx512vbmi") && has!("avx512f") {
            // SAFETY: the processor has the features.
            return unsafe { x86_lookup::avx512(table, indices, results) };
        }
        if has!("avx2") {
            // SAFETY: the processor has the feature.
            return unsafe { x86_lookup::avx2(table, indices, results) };
        }
    }
    lookup_in_loop(table, indices, results);
}

#[inline(always)]
fn lookup_in_loop(table: &[u8; 64], indices: &[[u8; 16]; 16], results: &mut [[u8; 16]; 16]) {
    for (result, index) in results.as_flattened_mut().iter_mut().zip(indices.as_flattened()) {
        *result = table[usize::from(*index & 63)];
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector loads and stores of arrays")]
mod x86_lookup {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_adds_epu8, _mm256_broadcastsi128_si256, _mm256_loadu_si256, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_shuffle_epi8, _mm256_storeu_si256, _mm256_xor_si256, _mm512_loadu_si512,
        _mm512_permutexvar_epi8, _mm512_storeu_si512,
    };

    #[target_feature(enable = "avx512f,avx512vbmi")]
    pub(super) fn avx512(table: &[u8; 64], indices: &[[u8; 16]; 16], results: &mut [[u8; 16]; 16]) {
        // SAFETY: each pointer is to 64 bytes of an array.
        unsafe {
            let table = _mm512_loadu_si512(table.as_ptr().cast());
            for (index, result) in indices.chunks_exact(4).zip(results.chunks_exact_mut(4)) {
                let index = _mm512_loadu_si512(index.as_ptr().cast());
                _mm512_storeu_si512(result.as_mut_ptr().cast(), _mm512_permutexvar_epi8(index, table));
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(table: &[u8; 64], indices: &[[u8; 16]; 16], results: &mut [[u8; 16]; 16]) {
        // SAFETY: each pointer is to 16 or 32 bytes of an array.
        unsafe {
            let [first, second, third] = [0, 16, 32]
                .map(|start: usize| _mm256_broadcastsi128_si256(_mm_loadu_si128(table[start..].as_ptr().cast())));
            // A shuffle gives zero where the index is above 127: 112 more than an index of another part of the table is.
            let limit = _mm256_set1_epi8(0x70);
            for (index, result) in indices.chunks_exact(2).zip(results.chunks_exact_mut(2)) {
                let index = _mm256_loadu_si256(index.as_ptr().cast());
                let part = |table, start| {
                    let own = _mm256_xor_si256(index, _mm256_set1_epi8(start));
                    _mm256_shuffle_epi8(table, _mm256_adds_epu8(own, limit))
                };
                let sum = _mm256_or_si256(part(first, 0), _mm256_or_si256(part(second, 16), part(third, 32)));
                _mm256_storeu_si256(result.as_mut_ptr().cast(), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lookup_finds_the_same() {
        let table = std::array::from_fn(|i| u8::try_from(i * 37 % 256).unwrap());
        let indices: [[u8; 16]; 16] =
            std::array::from_fn(|row| std::array::from_fn(|i| u8::try_from((row * 16 + i) * 7 % 48).unwrap()));
        let mut expected = [[0; 16]; 16];
        lookup_in_loop(&table, &indices, &mut expected);
        let mut found = [[0; 16]; 16];
        lookup_48(&table, &indices, &mut found);
        assert_eq!(found, expected);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            let mut found = [[0; 16]; 16];
            #[expect(unsafe_code, reason = "the processor has AVX2")]
            // SAFETY: detected above.
            unsafe {
                x86_lookup::avx2(&table, &indices, &mut found);
            }
            assert_eq!(found, expected);
        }
    }

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
