//! Inner loops of the passes for processors with AVX2: two taps per multiplication.
//!
//! `madd` multiplies 16-bit numbers and adds neighbours in 32 bits. A weight has 23 bits, so it is split
//! as `upper * 2^11 + lower`, and the two sums are joined at the end without losing a bit.

use super::ROWS;
use super::weights::{BITS, HALF, LOW_BITS, Weights};
use std::arch::x86_64::*;

/// Bytes per step of [`resample_vertical`].
pub(super) const BYTES: usize = 32;

/// Whether this processor has AVX2.
pub(super) fn is_supported() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// Resamples four rows; `first` is the column of their first pixels.
pub(super) fn resample_horizontal(
    rows: [&[u8]; ROWS],
    weights: &Weights,
    first: usize,
    targets: [&mut [u8]; ROWS],
) {
    assert!(is_supported());
    #[expect(unsafe_code, reason = "code for one kind of processor")]
    // SAFETY: the processor was just asked.
    unsafe {
        horizontal_avx2(rows, weights, first, targets);
    }
}

/// Weighted sum of rows, `stride` bytes apart, for the output row `index`; a target of at least [`BYTES`].
pub(super) fn resample_vertical(
    rows: &[u8],
    stride: usize,
    weights: &Weights,
    index: usize,
    target: &mut [u8],
) {
    assert!(is_supported());
    #[expect(unsafe_code, reason = "code for one kind of processor")]
    // SAFETY: the processor was just asked.
    unsafe {
        vertical_avx2(rows, stride, weights, index, target);
    }
}

#[target_feature(enable = "avx2")]
fn horizontal_avx2(
    rows: [&[u8]; ROWS],
    weights: &Weights,
    first: usize,
    targets: [&mut [u8]; ROWS],
) {
    let [row_a, row_b, row_c, row_d] = rows;
    let (front, back) = (two_pixels(0), two_pixels(6));
    for index in 0..weights.len() {
        let (start, pairs) = weights.pairs_of(index);
        let mut at = (start - first) * 3;
        let [mut ab, mut cd] = [Sums::zero(); 2];
        for [one, two] in pairs.as_chunks::<2>().0 {
            let (one, two) = (Pair::new(one), Pair::new(two));
            let bytes = load_two(&row_a[at..], &row_b[at..]);
            ab.add(_mm256_shuffle_epi8(bytes, front), one);
            ab.add(_mm256_shuffle_epi8(bytes, back), two);
            let bytes = load_two(&row_c[at..], &row_d[at..]);
            cd.add(_mm256_shuffle_epi8(bytes, front), one);
            cd.add(_mm256_shuffle_epi8(bytes, back), two);
            at += 12;
        }
        // 4 pixels of 4 bytes, the fourth of which is 0: a, c, a, c, then b, d, b, d.
        let pixels = _mm256_packs_epi32(ab.join(), cd.join());
        let pixels = _mm256_packus_epi16(pixels, pixels);
        let ac = _mm_cvtsi128_si64(_mm256_castsi256_si128(pixels)).to_le_bytes();
        let bd = _mm_cvtsi128_si64(_mm256_extracti128_si256(pixels, 1)).to_le_bytes();
        for (target, pixels, half) in [(0, ac, 0), (1, bd, 0), (2, ac, 4), (3, bd, 4)] {
            // The next pixel overwrites the fourth byte; after the last pixel there is no room for one.
            let rest = &mut targets[target][index * 3..];
            match rest.first_chunk_mut::<4>() {
                Some(bytes) => bytes.copy_from_slice(&pixels[half..half + 4]),
                None => rest[..3].copy_from_slice(&pixels[half..half + 3]),
            }
        }
    }
}

/// Byte shuffle of `rgbrgb...` that interleaves the two pixels from byte `at` on, as 16-bit numbers
/// `r r g g b b 0 0`: what `madd` needs.
#[target_feature(enable = "avx2")]
fn two_pixels(at: i8) -> __m256i {
    let [r, g, b, z] = [at, at + 1, at + 2, -1];
    let (s, h, c) = (r + 3, g + 3, b + 3);
    _mm256_broadcastsi128_si256(_mm_setr_epi8(
        r, z, s, z, g, z, h, z, b, z, c, z, z, z, z, z,
    ))
}

#[target_feature(enable = "avx2")]
fn vertical_avx2(rows: &[u8], stride: usize, weights: &Weights, index: usize, target: &mut [u8]) {
    let (pairs, taps) = (weights.pairs_of(index).1, weights.taps());
    let pairs = &pairs[..taps.div_ceil(2)];
    let last = target.len() - BYTES;
    // The last step may overlap with the one before it: the sums are the same.
    for at in (0..last).step_by(BYTES).chain([last]) {
        let mut sums = [Sums::zero(); 4];
        for (row, pair) in (0..).step_by(2).zip(pairs) {
            let pair = Pair::new(pair);
            let upper = load(&rows[row * stride + at..]);
            // The last weight of an odd number of them is 0.
            let next = (row + 1).min(taps - 1);
            let lower = load(&rows[next * stride + at..]);
            let zero = _mm256_setzero_si256();
            let front = _mm256_unpacklo_epi8(upper, lower);
            let back = _mm256_unpackhi_epi8(upper, lower);
            sums[0].add(_mm256_unpacklo_epi8(front, zero), pair);
            sums[1].add(_mm256_unpackhi_epi8(front, zero), pair);
            sums[2].add(_mm256_unpacklo_epi8(back, zero), pair);
            sums[3].add(_mm256_unpackhi_epi8(back, zero), pair);
        }
        let [a, b, c, d] = sums.map(|sums| sums.join());
        let bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        store(&mut target[at..], bytes);
    }
}

/// The weights of two taps, in every lane.
#[derive(Clone, Copy)]
struct Pair {
    upper: __m256i,
    lower: __m256i,
}

impl Pair {
    #[target_feature(enable = "avx2")]
    fn new([upper, lower]: &[i32; 2]) -> Self {
        Self {
            upper: _mm256_set1_epi32(*upper),
            lower: _mm256_set1_epi32(*lower),
        }
    }
}

/// Eight sums of value times weight, one for each part of the weights.
#[derive(Clone, Copy)]
struct Sums {
    upper: __m256i,
    lower: __m256i,
}

impl Sums {
    #[target_feature(enable = "avx2")]
    fn zero() -> Self {
        let zero = _mm256_setzero_si256();
        Self {
            upper: zero,
            lower: zero,
        }
    }

    #[target_feature(enable = "avx2")]
    fn add(&mut self, values: __m256i, pair: Pair) {
        self.upper = _mm256_add_epi32(self.upper, _mm256_madd_epi16(values, pair.upper));
        self.lower = _mm256_add_epi32(self.lower, _mm256_madd_epi16(values, pair.lower));
    }

    /// The rounded sums. Packing clips them to `[0, 255]` later.
    #[target_feature(enable = "avx2")]
    fn join(self) -> __m256i {
        let sum = _mm256_add_epi32(_mm256_slli_epi32(self.upper, LOW_BITS), self.lower);
        _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(HALF)), BITS)
    }
}

/// The first 16 bytes of two slices.
#[target_feature(enable = "avx2")]
fn load_two(a: &[u8], b: &[u8]) -> __m256i {
    let (a, b) = (&a[..16], &b[..16]);
    #[expect(unsafe_code, reason = "a load is")]
    // SAFETY: 16 bytes are there, and the instruction asks for no alignment.
    let [a, b] = [a, b].map(|bytes| unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
    _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1)
}

#[target_feature(enable = "avx2")]
fn load(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..BYTES];
    #[expect(unsafe_code, reason = "a load is")]
    // SAFETY: 32 bytes are there, and the instruction asks for no alignment.
    unsafe {
        _mm256_loadu_si256(bytes.as_ptr().cast())
    }
}

#[target_feature(enable = "avx2")]
fn store(bytes: &mut [u8], values: __m256i) {
    let bytes = &mut bytes[..BYTES];
    #[expect(unsafe_code, reason = "a store is")]
    // SAFETY: 32 bytes are there, and the instruction asks for no alignment.
    unsafe {
        _mm256_storeu_si256(bytes.as_mut_ptr().cast(), values);
    }
}
