//! A block of a product by AVX-512's `vdpbf16ps`, which adds the products of two pairs to a sum.

use super::operands::BLOCK;
use super::product::Sums;
use std::arch::x86_64::{
    __m512, __m512bh, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};
use std::mem::transmute;

/// Rows whose sums are kept in registers: 16 of the 32.
const ROWS: usize = 8;

/// Sums of 32 rows, `pitch` apart, and of the pairs of 32 columns.
#[expect(unsafe_code, reason = "instructions that not every processor has")]
pub(super) fn multiply(rows: &[u16], pitch: usize, panel: &[u32], sums: &mut Sums) {
    let pairs = panel.len() / BLOCK;
    assert!(rows.len() >= (BLOCK - 1) * pitch + 2 * pairs);
    for (i, sums) in sums.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        // SAFETY: `Unit::Avx512` exists only where the processor has these instructions.
        unsafe { strip(&rows[i * ROWS * pitch..], pitch, panel, sums) };
    }
}

/// # Safety
/// The processor has AVX-512 with bf16. `rows` has 8 rows, `pitch` apart, each with two numbers for every 32 of `panel`.
#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(unsafe_code, reason = "vectors are read from slices")]
unsafe fn strip(rows: &[u16], pitch: usize, panel: &[u32], sums: &mut [[f32; BLOCK]; ROWS]) {
    let mut totals: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
    for (pair, columns) in panel.as_chunks::<BLOCK>().0.iter().enumerate() {
        // SAFETY: 32 columns are two vectors of 16; the caller answers for the rows. Vectors of one size are the same
        // bits.
        unsafe {
            let low: __m512bh = transmute(_mm512_loadu_si512(columns.as_ptr().cast()));
            let high: __m512bh = transmute(_mm512_loadu_si512(columns.as_ptr().add(16).cast()));
            for (row, total) in totals.iter_mut().enumerate() {
                let two = rows.as_ptr().add(row * pitch + 2 * pair).cast::<i32>();
                let two: __m512bh = transmute(_mm512_set1_epi32(two.read_unaligned()));
                total[0] = _mm512_dpbf16_ps(total[0], two, low);
                total[1] = _mm512_dpbf16_ps(total[1], two, high);
            }
        }
    }
    for (total, sums) in totals.iter().zip(sums) {
        // SAFETY: 32 sums are two vectors of 16.
        unsafe {
            _mm512_storeu_ps(sums.as_mut_ptr(), total[0]);
            _mm512_storeu_ps(sums.as_mut_ptr().add(16), total[1]);
        }
    }
}
