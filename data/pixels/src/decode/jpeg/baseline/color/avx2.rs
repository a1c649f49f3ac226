//! YCbCr to RGB for processors with AVX2, 16 pixels at a time.

use std::arch::x86_64::*;

/// As [`super::to_rgb`].
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn to_rgb(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    let (parts, rest) = luma.as_chunks::<16>();
    let colors = blue.as_chunks::<16>().0.iter().zip(red.as_chunks::<16>().0);
    let (out_parts, out_rest) = out.split_at_mut(48 * parts.len());
    let outs = out_parts.as_chunks_mut::<48>().0.iter_mut();
    for (out, (luma, (blue, red))) in outs.zip(parts.iter().zip(colors)) {
        let [luma, blue, red] = [luma, blue, red].map(|values| widened(values));
        let center = _mm256_set1_epi16(128);
        let (blue, red) = (
            _mm256_sub_epi16(blue, center),
            _mm256_sub_epi16(red, center),
        );
        // 1.402 is 1 + 0.402, and 1.772 is 2 - 0.228: a factor must fit into 16 bits.
        let r = _mm256_add_epi16(fraction(red, 26_345), red);
        let b = _mm256_add_epi16(fraction(blue, -14_942), _mm256_add_epi16(blue, blue));
        let g = _mm256_sub_epi16(green(blue, red), red);
        let [r, g, b] = [r, g, b].map(|difference| _mm256_add_epi16(luma, difference));
        store(out, [narrowed(r), narrowed(g), narrowed(b)]);
    }
    let done = luma.len() - rest.len();
    super::to_rgb(rest, &blue[done..], &red[done..], out_rest);
}

/// Values times `factor` / 65536, rounded.
#[inline]
#[target_feature(enable = "avx2")]
fn fraction(values: __m256i, factor: i16) -> __m256i {
    let twice = _mm256_mulhi_epi16(_mm256_add_epi16(values, values), _mm256_set1_epi16(factor));
    _mm256_srai_epi16(_mm256_add_epi16(twice, _mm256_set1_epi16(1)), 1)
}

/// -0.34414 `blue` + 0.28586 `red`, rounded.
#[inline]
#[target_feature(enable = "avx2")]
fn green(blue: __m256i, red: __m256i) -> __m256i {
    let factors = _mm256_set1_epi32((18_734 << 16) | (-22_554 & 0xffff));
    let half = _mm256_set1_epi32(1 << 15);
    let pairs = [
        _mm256_unpacklo_epi16(blue, red),
        _mm256_unpackhi_epi16(blue, red),
    ];
    let [low, high] = pairs.map(|pair| {
        let sum = _mm256_madd_epi16(pair, factors);
        _mm256_srai_epi32(_mm256_add_epi32(sum, half), 16)
    });
    _mm256_packs_epi32(low, high)
}

#[inline]
#[target_feature(enable = "avx2")]
fn widened(values: &[u8; 16]) -> __m256i {
    #[expect(unsafe_code, reason = "a load is")]
    // SAFETY: 16 bytes are there, and the instruction asks for no alignment.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn narrowed(values: __m256i) -> __m128i {
    let (low, high) = (
        _mm256_castsi256_si128(values),
        _mm256_extracti128_si256(values, 1),
    );
    _mm_packus_epi16(low, high)
}

/// Stores 16 pixels: byte `i` of the output is channel `i % 3` of pixel `i / 3`.
#[inline]
#[target_feature(enable = "avx2")]
fn store(out: &mut [u8; 48], channels: [__m128i; 3]) {
    for (part, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let mut bytes = _mm_setzero_si128();
        for (channel, values) in channels.iter().enumerate() {
            let pick: [i8; 16] = std::array::from_fn(|at| {
                let index = part * 16 + at;
                // -1 gives a zero.
                if index % 3 == channel {
                    (index / 3) as i8
                } else {
                    -1
                }
            });
            bytes = _mm_or_si128(bytes, _mm_shuffle_epi8(*values, vector(&pick)));
        }
        #[expect(unsafe_code, reason = "a store is")]
        // SAFETY: 16 bytes are there, and the instruction asks for no alignment.
        unsafe {
            _mm_storeu_si128(out.as_mut_ptr().cast(), bytes);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn vector(bytes: &[i8; 16]) -> __m128i {
    #[expect(unsafe_code, reason = "a load is")]
    // SAFETY: as in `widened`.
    unsafe {
        _mm_loadu_si128(bytes.as_ptr().cast())
    }
}
