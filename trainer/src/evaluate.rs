//! A network over a data set, without gradients, to [`Scores`].

use burn::module::Module;
use data::loader::Loader;
use data::{Scores, Tally};
use models::Network;

use crate::error::Result;
use crate::fit::step;

pub use crate::fit::top;

/// Scores the network on one pass of `loader`, and gives the logits `[K]` of each of its images
/// in their own order, whatever the loader's.
///
/// # Errors
/// When an image cannot be read.
pub fn evaluate(
    network: &Network,
    loader: &Loader,
    classes: &[String],
) -> Result<(Scores, Vec<Vec<f32>>)> {
    let network = network.valid();
    let device = step::device(&network);
    let mut tally = Tally::new(classes.to_vec());
    let mut all = vec![];
    for batch in loader.epoch(1, 0) {
        let mut batch = batch?;
        let logits = network.forward(step::images(&mut batch, &device)); // [N, K]
        let num_classes = logits.dims()[1].max(1);
        let logits = step::read(logits)?;
        let rows = logits.chunks_exact(num_classes);
        for ((row, &label), &index) in rows.zip(&batch.labels).zip(&batch.indices) {
            tally.add(row, label);
            all.push((index, row.to_vec()));
        }
    }
    all.sort_by_key(|(index, _)| *index);
    Ok((tally.scores(), all.into_iter().map(|(_, row)| row).collect()))
}
