//! A network over a data set, without gradients, to [`Scores`].

use burn::module::Module;
use data::loader::Loader;
use data::{Prediction, Sample, Scores, Tally};
use models::Network;

use crate::error::Result;
use crate::fit::step;

/// How a network does on a data set.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Accuracy, loss, confusion and the rest.
    pub scores: Scores,
    /// One per image, in the loader's order.
    pub predictions: Vec<Prediction>,
    /// Logits `[N, K]` of the predictions.
    pub logits: Vec<Vec<f32>>,
}

/// Runs the network over one pass of `loader`, whose images are `samples`.
///
/// `progress` is told the number of images done, after each batch.
///
/// # Errors
/// When an image cannot be read.
pub fn evaluate(
    network: &Network,
    loader: &Loader,
    samples: &[Sample],
    classes: &[String],
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    let network = network.valid();
    let device = step::device(&network);
    let mut tally = Tally::new(classes.to_vec());
    let mut predictions = Vec::with_capacity(samples.len());
    let mut all = Vec::with_capacity(samples.len());
    let name = |class: usize| classes.get(class).cloned().unwrap_or_default();
    for batch in loader.epoch(1, 0) {
        let mut batch = batch?;
        let logits = network.forward(step::images(&mut batch, &device)); // [N, K]
        let num_classes = logits.dims()[1].max(1);
        let logits = step::read(logits)?;
        let rows = logits.chunks_exact(num_classes);
        for ((row, &label), &index) in rows.zip(&batch.labels).zip(&batch.indices) {
            let predicted = tally.add(row, label) as usize;
            all.push(row.to_vec());
            let probability = Tally::probabilities(row).get(predicted).copied();
            predictions.push(Prediction {
                path: samples
                    .get(index)
                    .map(|sample| sample.relative.clone())
                    .unwrap_or_default(),
                label: name(label as usize),
                predicted: name(predicted),
                probability: probability.unwrap_or(f64::NAN),
            });
        }
        progress(predictions.len());
    }
    Ok(Evaluation {
        scores: tally.scores(),
        predictions,
        logits: all,
    })
}
