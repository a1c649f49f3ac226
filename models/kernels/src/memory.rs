//! Results that threads fill piece by piece.

use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A vector of pieces of `piece` values, each made by `fill(index, piece)` from zeros.
///
/// A thread writes the zeros of its own piece, right before the values, while they are in its cache.
pub(super) fn pieces(
    len: usize,
    piece: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    pieces_with(len, piece, || (), |(), index, piece| fill(index, piece))
}

/// As [`pieces`], with something that each thread makes for itself.
#[expect(unsafe_code, reason = "the values are written in parallel")]
pub(super) fn pieces_with<T>(
    len: usize,
    piece: usize,
    own: impl Fn() -> T + Sync + Send,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    let spare: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..len];
    let pieces = spare.par_chunks_mut(piece.max(1)).enumerate();
    pieces.for_each_init(own, |own, (index, piece)| {
        piece.fill(MaybeUninit::new(0.0));
        // SAFETY: every value was just written.
        let piece = unsafe { piece.assume_init_mut() };
        fill(own, index, piece);
    });
    // SAFETY: the pieces cover `len` values, and each was written.
    unsafe {
        values.set_len(len);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_come_in_order_and_begin_as_zeros() {
        let values = pieces(7, 3, |index, piece| {
            assert!(piece.iter().all(|v| *v == 0.0));
            piece[0] = index as f32 + 1.0;
        });
        assert_eq!(values, [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]);
        assert!(pieces(0, 3, |_, _| {}).is_empty());
    }
}
