//! Output buffers that threads fill in parallel, and sums of partial results. Knows nothing of their content.

use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Values of a sum that one task adds up: they stay in the L1 cache.
const SUMMED: usize = 4096;

/// A vector of `len` values in chunks of `chunk_len`, each filled by `fill(index, chunk)` from zeros.
pub(super) fn fill_chunks(
    len: usize,
    chunk_len: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    fill_chunks_with(len, chunk_len, || (), |(), index, chunk| fill(index, chunk))
}

/// As [`fill_chunks`], with a scratch buffer from `scratch` that a thread reuses for its chunks.
pub(super) fn fill_chunks_with<T>(
    len: usize,
    chunk_len: usize,
    scratch: impl Fn() -> T + Sync + Send,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    // Not `vec![0.0; len]`: one thread would write all zeros, and they would have left the caches
    // before the values come. Each thread writes the zeros of its own chunk right before its values.
    write_chunks_with(len, chunk_len, scratch, |scratch, index, chunk| {
        let chunk = repeated(chunk, &[0.0]);
        fill(scratch, index, chunk);
        chunk
    })
}

/// A chunk that holds nothing yet.
pub(super) type Unwritten = [MaybeUninit<f32>];

/// As [`fill_chunks`], from nothing: see [`write_chunks_with`].
pub(super) fn write_chunks(
    len: usize,
    chunk_len: usize,
    write: impl for<'a> Fn(usize, &'a mut Unwritten) -> &'a mut [f32] + Sync,
) -> Vec<f32> {
    write_chunks_with(
        len,
        chunk_len,
        || (),
        |(), index, chunk| write(index, chunk),
    )
}

/// As [`fill_chunks_with`], from nothing: `write` returns the chunk, all of it written. Chunks that do not fit the caches
/// are then written once and not twice.
#[expect(unsafe_code, reason = "the values are written in parallel")]
pub(super) fn write_chunks_with<T>(
    len: usize,
    chunk_len: usize,
    scratch: impl Fn() -> T + Sync + Send,
    write: impl for<'a> Fn(&mut T, usize, &'a mut Unwritten) -> &'a mut [f32] + Sync,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    let spare: &mut Unwritten = &mut values.spare_capacity_mut()[..len];
    let chunks = spare.par_chunks_mut(chunk_len.max(1)).enumerate();
    chunks.for_each_init(scratch, |scratch, (index, chunk)| {
        let expected = (chunk.as_ptr().cast::<f32>(), chunk.len());
        let written = write(scratch, index, chunk);
        assert_eq!((written.as_ptr(), written.len()), expected);
    });
    // SAFETY: the chunks cover `len` values, and each was returned as written.
    unsafe {
        values.set_len(len);
    }
    values
}

/// A vector `[N, C, pixels]` of `len` values. A task prepares something for a channel, and then writes all of its maps by
/// `write(prepared, index of the map, map)`: what it read to prepare is still in the cache. Also what was prepared.
#[expect(unsafe_code, reason = "the values are written in parallel")]
pub(super) fn write_channels<T: Send>(
    len: usize,
    channels: usize,
    pixels: usize,
    prepare: impl Fn(usize) -> T + Sync,
    write: impl for<'a> Fn(&T, usize, &'a mut Unwritten) -> &'a mut [f32] + Sync,
) -> (Vec<f32>, Vec<T>) {
    assert!(len.is_multiple_of(channels * pixels));
    let mut values = Vec::with_capacity(len);
    let spare: &mut Unwritten = &mut values.spare_capacity_mut()[..len];
    let mut maps: Vec<Vec<_>> = (0..channels).map(|_| Vec::new()).collect();
    for (index, map) in spare.chunks_exact_mut(pixels).enumerate() {
        maps[index % channels].push((index, map));
    }
    let channel = |(channel, maps): (usize, Vec<(usize, &mut Unwritten)>)| {
        let prepared = prepare(channel);
        for (index, map) in maps {
            let expected = (map.as_ptr().cast::<f32>(), map.len());
            let written = write(&prepared, index, map);
            assert_eq!((written.as_ptr(), written.len()), expected);
        }
        prepared
    };
    let prepared = maps.into_par_iter().enumerate().map(channel).collect();
    // SAFETY: the maps cover `len` values, and each was returned as written.
    unsafe {
        values.set_len(len);
    }
    (values, prepared)
}

/// Writes each value as often as they fit the chunk one after the other.
#[expect(unsafe_code, reason = "the chunk was not written")]
pub(super) fn repeated<'a>(chunk: &'a mut Unwritten, values: &[f32]) -> &'a mut [f32] {
    let run = chunk.len() / values.len();
    assert_eq!(run * values.len(), chunk.len());
    if run > 0 {
        for (run, value) in chunk.chunks_exact_mut(run).zip(values) {
            run.fill(MaybeUninit::new(*value));
        }
    }
    // SAFETY: every value was just written.
    unsafe { chunk.assume_init_mut() }
}

/// Writes the values one after the other, as many as fit.
///
/// # Panics
/// Where there are fewer.
#[expect(unsafe_code, reason = "the chunk was not written")]
#[inline(always)]
pub(super) fn written(chunk: &mut Unwritten, values: impl Iterator<Item = f32>) -> &mut [f32] {
    let mut count = 0;
    for (target, value) in chunk.iter_mut().zip(values) {
        target.write(value);
        count += 1;
    }
    assert_eq!(count, chunk.len());
    // SAFETY: as many values as the chunk has were just written.
    unsafe { chunk.assume_init_mut() }
}

/// A chunk of which `write(index, part)` writes all parts of `part_len`, one after the other.
#[expect(unsafe_code, reason = "the chunk was not written")]
pub(super) fn write_parts(
    chunk: &mut Unwritten,
    part_len: usize,
    write: impl for<'a> Fn(usize, &'a mut Unwritten) -> &'a mut [f32],
) -> &mut [f32] {
    for (index, part) in chunk.chunks_mut(part_len).enumerate() {
        let expected = (part.as_ptr().cast::<f32>(), part.len());
        let written = write(index, part);
        assert_eq!((written.as_ptr(), written.len()), expected);
    }
    // SAFETY: the parts cover the chunk, and each was returned as written.
    unsafe { chunk.assume_init_mut() }
}

/// Adds up partial results of `len` values in their order, so that no bit depends on the threads.
pub(super) fn sum_in_order(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    fill_chunks(len, SUMMED, |index, total| {
        for part in &parts {
            let part = &part[index * SUMMED..][..total.len()];
            total.iter_mut().zip(part).for_each(|(t, v)| *t += v);
        }
    })
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
