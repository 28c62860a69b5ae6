//! SimdKernel that is compiled for any processor, and again for those with wide vectors.
//!
//! All do the same to the last bit. Sums of products are fused where that is asked for (`mul_add`), which IEEE 754 defines
//! exactly: with an instruction where there is one (x86-64 since 2013, every 64-bit ARM), else slowly.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

/// The round_to_i32 whole number to a value between -2²² and 2²²; of two, the even one. A cast would do the same, but with checks in
/// the place of vectors.
#[inline(always)]
pub fn round_to_i32(value: f32) -> i32 {
    // From 2²³ on, floats are whole numbers: the lower bits of the mantissa are the number. Half as much more leaves room
    // below.
    const WHOLE: f32 = 12_582_912.0;
    (value + WHOLE).to_bits().wrapping_sub(WHOLE.to_bits()).cast_signed()
}

/// The nearest byte to a value between 0 and 255.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is between
pub fn round_to_u8(value: f32) -> u8 {
    round_to_i32(value) as u8
}

/// What [`dispatch`] runs.
pub trait SimdKernel {
    type Output;

    /// To be `#[inline(always)]`, and all of what it calls that is to use the vectors.
    fn run(self) -> Self::Output;
}

/// Runs `work` with the dispatch vectors there are.
#[allow(unsafe_code)] // what a processor is found to have is called
pub fn dispatch<W: SimdKernel>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;

        // Each generation of processors brought them all: of 2013, and of 2019. Between the two are some with half of the
        // second list, which lower their clock for vectors of 512 bits.
        #[target_feature(enable = "avx2,bmi1,bmi2,fma,lzcnt")]
        fn avx2<W: SimdKernel>(work: W) -> W::Output {
            work.run()
        }
        #[target_feature(enable = "avx2,bmi1,bmi2,fma,lzcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi2")]
        fn avx512<W: SimdKernel>(work: W) -> W::Output {
            work.run()
        }
        if has!("avx2") && has!("bmi1") && has!("bmi2") && has!("fma") && has!("lzcnt") {
            if has!("avx512f")
                && has!("avx512bw")
                && has!("avx512cd")
                && has!("avx512dq")
                && has!("avx512vl")
                && has!("avx512vbmi2")
            {
                // SAFETY: the processor has them.
                return unsafe { avx512(work) };
            }
            // SAFETY: the processor has them.
            return unsafe { avx2(work) };
        }
    }
    work.run()
}
