//! The transform for processors with AVX2: 16 values of 16 bits at a time, two rows of a block.

use super::*;
use std::arch::x86_64::*;

/// Factors of the two halves of a vector, for products of pairs.
pub(in super::super) struct Transform {
    z26: __m256i,
    z34: __m256i,
    odd01: __m256i,
    odd32: __m256i,
    sign: __m256i,
}

impl Transform {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn new() -> Self {
        let pairs = |a: i32, b: i32, c: i32, d: i32| {
            let pair = |first: i32, second: i32| (second << 16) | (first & 0xffff);
            let (low, high) = (pair(a, b), pair(c, d));
            _mm256_setr_epi32(low, low, low, low, high, high, high, high)
        };
        Self {
            z26: pairs(C541 + C765, C541, C541 - C1847, C541),
            z34: pairs(C1175 - C1961, C1175, C1175 - C390, C1175),
            odd01: pairs(C298 - C899, -C899, C2053 - C2562, -C2562),
            odd32: pairs(-C899, C1501 - C899, -C2562, C3072 - C2562),
            sign: _mm256_setr_epi16(1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1),
        }
    }

    /// As [`super::inverse`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn inverse(
        &self,
        block: &Block,
        quantization: &Block,
        out: &mut [u8],
        stride: usize,
    ) {
        let mut rows = load(block);
        for (row, factors) in rows.iter_mut().zip(load(quantization)) {
            *row = _mm256_mullo_epi16(*row, factors);
        }
        let [r01, r23, r45, r67] = rows;
        let (r04, r31) = (low(r01, r45), high(r23, r01));
        let (r26, r75) = (low(r23, r67), high(r67, r45));
        let [r04, r15, r26, r37] = transposed(self.pass::<11>(r04, r31, r26, r75));
        let (r31, r75) = (low(r37, r15), high(r37, r15));
        let [r04, r15, r26, r37] = transposed(self.pass::<18>(r04, r31, r26, r75));
        let center = _mm256_set1_epi8(-128);
        let even = _mm256_add_epi8(_mm256_packs_epi16(r04, r15), center);
        let odd = _mm256_add_epi8(_mm256_packs_epi16(r26, r37), center);
        // Each half has two rows.
        let pairs = [
            _mm256_castsi256_si128(even),
            _mm256_castsi256_si128(odd),
            _mm256_extracti128_si256(even, 1),
            _mm256_extracti128_si256(odd, 1),
        ];
        for (two, pair) in pairs.into_iter().enumerate() {
            store(&mut out[2 * two * stride..], pair);
            let second = _mm_unpackhi_epi64(pair, pair);
            store(&mut out[(2 * two + 1) * stride..], second);
        }
    }

    /// One dimension. Takes rows 0 and 4, 3 and 1, 2 and 6, 7 and 5; gives 0 and 1, 3 and 2, 4 and 5, 7 and 6.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pass<const SHIFT: i32>(
        &self,
        r04: __m256i,
        r31: __m256i,
        r26: __m256i,
        r75: __m256i,
    ) -> [__m256i; 4] {
        let even32 = products(r26, swapped(r26), self.z26);
        let sums = _mm256_add_epi16(swapped(r04), _mm256_sign_epi16(r04, self.sign));
        let zero = _mm256_setzero_si256();
        // To the upper half, then down: the same as 13 bits up.
        let even01 = [
            _mm256_srai_epi32(_mm256_unpacklo_epi16(zero, sums), 3),
            _mm256_srai_epi32(_mm256_unpackhi_epi16(zero, sums), 3),
        ];
        let even_outer = both(even01, even32, |a, b| _mm256_add_epi32(a, b));
        let even_inner = both(even01, even32, |a, b| _mm256_sub_epi32(a, b));

        let z34 = _mm256_add_epi16(r75, r31);
        let z34 = products(z34, swapped(z34), self.z34);
        let r13 = swapped(r31);
        let add = |a, b| _mm256_add_epi32(a, b);
        let odd01 = both(products(r75, r13, self.odd01), z34, add);
        let odd32 = both(products(r75, r13, self.odd32), z34.map(|z| swapped(z)), add);

        let rounded = |values: [__m256i; 2]| {
            let half = _mm256_set1_epi32(1 << (SHIFT - 1));
            let [low, high] = values.map(|v| _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(v, half)));
            _mm256_packs_epi32(low, high)
        };
        [
            rounded(both(even_outer, odd32, add)),
            rounded(both(even_inner, odd01, add)),
            rounded(both(even_inner, odd01, |a, b| _mm256_sub_epi32(a, b))),
            rounded(both(even_outer, odd32, |a, b| _mm256_sub_epi32(a, b))),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn both(
    a: [__m256i; 2],
    b: [__m256i; 2],
    operation: impl Fn(__m256i, __m256i) -> __m256i,
) -> [__m256i; 2] {
    [operation(a[0], b[0]), operation(a[1], b[1])]
}

/// The sum of two products in each lane of 32 bits: of `a` and `b`, by pairs of factors.
#[inline]
#[target_feature(enable = "avx2")]
fn products(a: __m256i, b: __m256i, factors: __m256i) -> [__m256i; 2] {
    [
        _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), factors),
        _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), factors),
    ]
}

/// Halves in the other order.
#[inline]
#[target_feature(enable = "avx2")]
fn swapped(values: __m256i) -> __m256i {
    _mm256_permute2x128_si256(values, values, 0x01)
}

/// The first halves of two vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn low(a: __m256i, b: __m256i) -> __m256i {
    _mm256_permute2x128_si256(a, b, 0x20)
}

/// The second halves of two vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn high(a: __m256i, b: __m256i) -> __m256i {
    _mm256_permute2x128_si256(a, b, 0x31)
}

/// Takes what [`Transform::pass`] gives; gives columns 0 and 4, 1 and 5, 2 and 6, 3 and 7.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed([r01, r32, r45, r76]: [__m256i; 4]) -> [__m256i; 4] {
    let a = _mm256_permute4x64_epi64(r01, 0xd8);
    let b = _mm256_permute4x64_epi64(r32, 0x72);
    let c = _mm256_permute4x64_epi64(r45, 0xd8);
    let d = _mm256_permute4x64_epi64(r76, 0x72);
    let (even0, odd0) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
    let (even1, odd1) = (_mm256_unpacklo_epi16(c, d), _mm256_unpackhi_epi16(c, d));
    let (a, b) = (
        _mm256_unpacklo_epi16(even0, odd0),
        _mm256_unpacklo_epi16(even1, odd1),
    );
    let (c, d) = (
        _mm256_unpackhi_epi16(even0, odd0),
        _mm256_unpackhi_epi16(even1, odd1),
    );
    [
        _mm256_unpacklo_epi64(a, b),
        _mm256_unpackhi_epi64(a, b),
        _mm256_unpacklo_epi64(c, d),
        _mm256_unpackhi_epi64(c, d),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &Block) -> [__m256i; 4] {
    let parts: [&[i16; 16]; 4] = std::array::from_fn(|i| {
        let part = block.0[16 * i..].first_chunk();
        part.expect("64 values are four times 16")
    });
    #[expect(unsafe_code, reason = "a load is")]
    // SAFETY: 16 values are there, and the instruction asks for no alignment.
    parts.map(|part| unsafe { _mm256_loadu_si256(part.as_ptr().cast()) })
}

/// Stores the lower eight bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store(out: &mut [u8], values: __m128i) {
    out[..8].copy_from_slice(&_mm_cvtsi128_si64(values).to_le_bytes());
}
