//! Output buffers that threads fill in parallel, and sums of partial results. Knows nothing of their content.

use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A vector of `len` values in chunks of `chunk_len`, each filled by `fill(index, chunk)` from zeros.
pub(super) fn fill_chunks(
    len: usize,
    chunk_len: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    fill_chunks_with(len, chunk_len, || (), |(), index, chunk| fill(index, chunk))
}

/// As [`fill_chunks`], with a scratch buffer from `scratch` that a thread reuses for its chunks.
#[expect(unsafe_code, reason = "the values are written in parallel")]
pub(super) fn fill_chunks_with<T>(
    len: usize,
    chunk_len: usize,
    scratch: impl Fn() -> T + Sync + Send,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    // Not `vec![0.0; len]`: one thread would write all zeros, and they would have left the caches
    // before the values come. Each thread writes the zeros of its own chunk right before its values.
    let mut values = Vec::with_capacity(len);
    let spare: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..len];
    let chunks = spare.par_chunks_mut(chunk_len.max(1)).enumerate();
    chunks.for_each_init(scratch, |scratch, (index, chunk)| {
        chunk.fill(MaybeUninit::new(0.0));
        // SAFETY: every value was just written.
        let chunk = unsafe { chunk.assume_init_mut() };
        fill(scratch, index, chunk);
    });
    // SAFETY: the chunks cover `len` values, and each was written.
    unsafe {
        values.set_len(len);
    }
    values
}

/// Adds up partial results of `len` values in their order, so that no bit depends on the threads.
pub(super) fn sum_in_order(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut total = vec![0.0; len];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, v)| *t += v);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::fill_chunks;

    #[test]
    fn chunks_come_in_order_and_begin_as_zeros() {
        let values = fill_chunks(7, 3, |index, chunk| {
            assert!(chunk.iter().all(|v| *v == 0.0));
            chunk[0] = index as f32 + 1.0;
        });
        assert_eq!(values, [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]);
        assert!(fill_chunks(0, 3, |_, _| {}).is_empty());
    }
}
