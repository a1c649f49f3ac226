//! Inverse discrete cosine transform of blocks of 8 x 8: libjpeg's accurate integer one (`jidctint.c`), of
//! Loeffler, Ligtenberg and Moschytz, with the same roundings.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

/// Coefficients row by row, and behind them elements for what is none, so that a loop need not check an index.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub(super) struct Block(pub(super) [i16; 80]);

impl Block {
    pub(super) const ZERO: Self = Self([0; 80]);
}

/// Transforms a block to eight rows of samples, `stride` apart in `out`.
pub(super) fn inverse(block: &Block, quantization: &Block, out: &mut [u8], stride: usize) {
    let values: [[i16; 8]; 8] = std::array::from_fn(|y| {
        std::array::from_fn(|x| block.0[y * 8 + x].wrapping_mul(quantization.0[y * 8 + x]))
    });
    // Columns, then rows: libjpeg keeps two more bits between the passes.
    let values = transposed(&pass(&values, 11));
    let values = transposed(&pass(&values, 18));
    for (y, row) in values.iter().enumerate() {
        for (out, value) in out[y * stride..][..8].iter_mut().zip(row) {
            *out = (value + 128).clamp(0, 255) as u8;
        }
    }
}

/// Factors of the transform with 13 bits behind the point: `C541` is 0.541.
const C298: i32 = fixed(0.298_631_336);
const C390: i32 = fixed(0.390_180_644);
const C541: i32 = fixed(0.541_196_1);
const C765: i32 = fixed(0.765_366_865);
const C899: i32 = fixed(0.899_976_223);
const C1175: i32 = fixed(1.175_875_602);
const C1501: i32 = fixed(1.501_321_11);
const C1847: i32 = fixed(1.847_759_065);
const C1961: i32 = fixed(1.961_570_56);
const C2053: i32 = fixed(2.053_119_869);
const C2562: i32 = fixed(2.562_915_447);
const C3072: i32 = fixed(3.072_711_026);

const fn fixed(value: f64) -> i32 {
    (value * 8192.0 + 0.5) as i32
}

/// A transform of each column in one dimension, rounded by `shift` bits.
fn pass(rows: &[[i16; 8]; 8], shift: u32) -> [[i16; 8]; 8] {
    let mut out = [[0; 8]; 8];
    for x in 0..8 {
        let value = |y: usize| i32::from(rows[y][x]);
        // Sums of two are of 16 bits, as in libjpeg's code for vectors: only absurd values differ.
        let sum = |a: usize, b: usize| i32::from(rows[a][x].wrapping_add(rows[b][x]));
        let difference = i32::from(rows[0][x].wrapping_sub(rows[4][x]));
        let even2 = value(2) * C541 + value(6) * (C541 - C1847);
        let even3 = value(2) * (C541 + C765) + value(6) * C541;
        let (even0, even1) = (sum(0, 4) << 13, difference << 13);
        let even = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];

        let (z3, z4) = (sum(7, 3), sum(5, 1));
        let (z3, z4) = (
            z3 * (C1175 - C1961) + z4 * C1175,
            z3 * C1175 + z4 * (C1175 - C390),
        );
        let odd = [
            value(1) * (C1501 - C899) - value(7) * C899 + z4,
            value(3) * (C3072 - C2562) - value(5) * C2562 + z3,
            value(5) * (C2053 - C2562) - value(3) * C2562 + z4,
            value(7) * (C298 - C899) - value(1) * C899 + z3,
        ];
        let rounded = |value: i32| {
            let value = value.wrapping_add(1 << (shift - 1)) >> shift;
            value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
        };
        for (y, (even, odd)) in even.into_iter().zip(odd).enumerate() {
            out[y][x] = rounded(even.wrapping_add(odd));
            out[7 - y][x] = rounded(even.wrapping_sub(odd));
        }
    }
    out
}

fn transposed(rows: &[[i16; 8]; 8]) -> [[i16; 8]; 8] {
    std::array::from_fn(|y| std::array::from_fn(|x| rows[x][y]))
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(most: i16) -> impl Strategy<Value = Block> {
        prop::collection::vec(-most..=most, 64).prop_map(|values| {
            let mut block = Block::ZERO;
            block.0[..64].copy_from_slice(&values);
            block
        })
    }

    proptest! {
        /// Also where sums leave 16 bits.
        #[test]
        fn vectors_give_the_same(small in block(60), large in block(i16::MAX), quantization in block(255)) {
            if !super::super::has_vectors() {
                return Ok(());
            }
            for block in [small, large] {
                let (mut found, mut expected) = ([0; 80], [0; 80]);
                #[expect(unsafe_code, reason = "code for one kind of processor")]
                // SAFETY: the processor was just asked.
                unsafe {
                    avx2::Transform::new().inverse(&block, &quantization, &mut found, 10);
                }
                inverse(&block, &quantization, &mut expected, 10);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
