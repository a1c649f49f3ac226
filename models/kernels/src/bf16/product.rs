//! Products of two matrices of bf16 with f32 sums, block by block, on one thread.

use super::operands::{BLOCK, Left, Pairs};
use super::unit::Unit;
#[cfg(target_arch = "x86_64")]
use super::{amx, avx512};

/// 32 x 32 sums.
pub(super) type Sums = [[f32; BLOCK]; BLOCK];

/// A block of the product.
pub(super) struct Block<'a> {
    row: usize,
    num_rows: usize,
    /// The first column.
    pub(super) column: usize,
    num_columns: usize,
    sums: &'a Sums,
}

impl Block<'_> {
    /// The rows of the product that the block has a part of, with that part.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let rows = self.sums.iter().take(self.num_rows).enumerate();
        rows.map(|(i, sums)| (self.row + i, &sums[..self.num_columns]))
    }
}

/// Gives all blocks of left `[rows, inner]` · right `[inner, columns]` to `store`.
pub(super) fn multiply(unit: Unit, left: &Left, right: &Pairs, mut store: impl FnMut(Block<'_>)) {
    assert_eq!(left.inner, right.inner);
    let mut sums = [[0.0; BLOCK]; BLOCK];
    #[cfg(target_arch = "x86_64")]
    let _tiles = (unit == Unit::Amx).then(amx::Tiles::configure);
    // The panel of 32 columns stays in the cache while all rows pass.
    for column in (0..right.columns).step_by(BLOCK) {
        let panel = right.panel(column);
        for row in (0..left.rows).step_by(BLOCK) {
            let rows = left.row(row);
            match unit {
                #[cfg(target_arch = "x86_64")]
                Unit::Amx => amx::multiply(rows, left.pitch, panel, &mut sums),
                #[cfg(target_arch = "x86_64")]
                Unit::Avx512 => avx512::multiply(rows, left.pitch, panel, &mut sums),
            }
            store(Block {
                row,
                num_rows: BLOCK.min(left.rows - row),
                column,
                num_columns: BLOCK.min(right.columns - column),
                sums: &sums,
            });
        }
    }
}
