//! Pixels to tensor for processors with AVX2 and FMA, eight pixels at a time.

use super::Affine;
use std::arch::x86_64::*;

/// Bytes that are read for eight pixels: two loads of 16, 12 apart.
const READ: usize = 28;

pub(super) fn is_supported() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// Writes red, green and blue of `pixels` (`rgbrgb...`) into `out`, each from its index in `starts` on.
/// Returns how many pixels it wrote; fewer than ten may be left.
pub(super) fn write(
    pixels: &[u8],
    affines: [&Affine; 3],
    out: &mut [f32],
    starts: [usize; 3],
) -> usize {
    assert!(is_supported());
    #[expect(unsafe_code, reason = "code for one kind of processor")]
    // SAFETY: the processor was just asked.
    unsafe {
        write_avx2(pixels, affines, out, starts)
    }
}

#[target_feature(enable = "avx2,fma")]
fn write_avx2(pixels: &[u8], affines: [&Affine; 3], out: &mut [f32], starts: [usize; 3]) -> usize {
    let factors = affines.map(|affine| Factors::new(affine));
    // Byte shuffle per channel: four bytes, three apart, widened to 32 bits; -1 gives a zero byte.
    let pick = [0, 1, 2].map(|c: i8| {
        let z = -1;
        let (a, b, d) = (c + 3, c + 6, c + 9);
        _mm256_broadcastsi128_si256(_mm_setr_epi8(
            c, z, z, z, a, z, z, z, b, z, z, z, d, z, z, z,
        ))
    });
    let mut done = 0;
    while let Some(bytes) = pixels.get(done * 3..done * 3 + READ) {
        let bytes = load_two(bytes);
        for ((pick, factors), start) in pick.iter().zip(&factors).zip(starts) {
            let values = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(bytes, *pick));
            store(&mut out[start + done..], factors.apply(values));
        }
        done += 8;
    }
    done
}

/// An [`Affine`] in every lane.
struct Factors {
    scale: [__m256; 2],
    mean: __m256,
    inverse: [__m256; 2],
}

impl Factors {
    #[target_feature(enable = "avx2,fma")]
    fn new(affine: &Affine) -> Self {
        Self {
            scale: affine.scale.map(|part| _mm256_set1_ps(part)),
            mean: _mm256_set1_ps(affine.mean),
            inverse: affine.inverse.map(|part| _mm256_set1_ps(part)),
        }
    }

    /// [`Affine::value`] of eight bytes.
    #[target_feature(enable = "avx2,fma")]
    fn apply(&self, bytes: __m256) -> __m256 {
        let scaled = times(bytes, self.scale);
        times(_mm256_sub_ps(scaled, self.mean), self.inverse)
    }
}

#[target_feature(enable = "avx2,fma")]
fn times(values: __m256, [large, small]: [__m256; 2]) -> __m256 {
    _mm256_fmadd_ps(values, large, _mm256_mul_ps(values, small))
}

/// Sixteen bytes and, 12 bytes further, another sixteen.
#[target_feature(enable = "avx2")]
fn load_two(bytes: &[u8]) -> __m256i {
    let parts = [&bytes[..16], &bytes[12..READ]];
    #[expect(unsafe_code, reason = "a load is")]
    // SAFETY: 16 bytes are there, and the instruction asks for no alignment.
    let [a, b] = parts.map(|bytes| unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
    _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1)
}

#[target_feature(enable = "avx2")]
fn store(out: &mut [f32], values: __m256) {
    let out = &mut out[..8];
    #[expect(unsafe_code, reason = "a store is")]
    // SAFETY: 8 numbers are there, and the instruction asks for no alignment.
    unsafe {
        _mm256_storeu_ps(out.as_mut_ptr(), values);
    }
}
