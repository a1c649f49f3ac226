//! Tensors of one shape that are changed number by number on all threads: the steps of optimisers.

use crate::extension;
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use pulp::Arch;
use rayon::prelude::*;

/// Values of a task: enough that handing it over costs little.
const CHUNK: usize = 1 << 16;
/// Values that are computed at a time, from copies of which the compiler knows that they do not overlap.
const BLOCK: usize = 64;

/// Changes the numbers at the same place of `W` tensors, given those of `R` others: one pass over memory.
///
/// # Panics
/// A tensor is not on the CPU without autodiff ([`crate::is_cpu`]), or the shapes differ.
#[must_use]
pub fn update<const W: usize, const R: usize, const D: usize>(
    written: [Tensor<D>; W],
    read: [Tensor<D>; R],
    rule: impl Fn([f32; W], [f32; R]) -> [f32; W] + Copy + Send + Sync,
) -> [Tensor<D>; W] {
    let primitive = |tensor: Tensor<D>| -> FlexTensor {
        let tensor = tensor.try_into_primitive::<Flex>();
        extension::owned(tensor.expect("updates are for the CPU"))
    };
    let mut written = written.map(primitive);
    let read = read.map(primitive);
    let targets = written.each_mut().map(|tensor| tensor.storage_mut::<f32>());
    let sources = read.each_ref().map(|tensor| tensor.storage::<f32>());
    let len = targets.first().map_or(0, |target| target.len());
    assert!(targets.iter().all(|target| target.len() == len));
    assert!(sources.iter().all(|source| source.len() == len));
    let mut targets = targets.map(|target| target.chunks_mut(CHUNK));
    let mut sources = sources.map(|source| source.chunks(CHUNK));
    let tasks: Vec<_> = (0..len.div_ceil(CHUNK))
        .map(|_| {
            let next = "all have as many chunks";
            (
                targets.each_mut().map(|chunks| chunks.next().expect(next)),
                sources.each_mut().map(|chunks| chunks.next().expect(next)),
            )
        })
        .collect();
    let arch = Arch::new();
    tasks.into_par_iter().for_each(|(mut targets, sources)| {
        arch.dispatch(
            #[inline(always)]
            || update_chunk(&mut targets, &sources, rule),
        );
    });
    written.map(Tensor::from_primitive::<Flex>)
}

#[inline(always)]
fn update_chunk<const W: usize, const R: usize>(
    targets: &mut [&mut [f32]; W],
    sources: &[&[f32]; R],
    rule: impl Fn([f32; W], [f32; R]) -> [f32; W],
) {
    let len = targets.first().map_or(0, |target| target.len());
    let (mut written, mut read) = ([[0.0; BLOCK]; W], [[0.0; BLOCK]; R]);
    for start in (0..len).step_by(BLOCK) {
        let block = start..len.min(start + BLOCK);
        for (copy, target) in written.iter_mut().zip(&*targets) {
            copy[..block.len()].copy_from_slice(&target[block.clone()]);
        }
        for (copy, source) in read.iter_mut().zip(sources) {
            copy[..block.len()].copy_from_slice(&source[block.clone()]);
        }
        for i in 0..BLOCK {
            let (mut old, mut given) = ([0.0; W], [0.0; R]);
            for (value, copy) in old.iter_mut().zip(&written) {
                *value = copy[i];
            }
            for (value, copy) in given.iter_mut().zip(&read) {
                *value = copy[i];
            }
            for (copy, value) in written.iter_mut().zip(rule(old, given)) {
                copy[i] = value;
            }
        }
        for (target, copy) in targets.iter_mut().zip(&written) {
            target[block.clone()].copy_from_slice(&copy[..block.len()]);
        }
    }
}
