//! Evaluation of a network in Burn: logits and scores of examples. It knows no file.

use std::sync::Arc;

use burn::module::Module;
use data::{Prediction, Sample, Scores, Split, Tally};
use models::Network;

use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::examples::{Batch, Batching, Examples, Purpose};
use crate::features::Features;
use crate::model::Model;
use crate::pair_score::{Decision, PairScore};
use crate::tensors;

/// Scores and predictions of a network on examples.
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub scores: Scores,
    /// One per example, in order.
    pub predictions: Vec<Prediction>,
    /// Logits `[N, K]`.
    pub logits: Vec<Vec<f32>>,
}

/// Scores a network, as Burn computes it, on examples that are batched for evaluation.
///
/// `progress` gets the number of examples done, after each batch.
pub fn evaluate(
    network: &Network,
    examples: &Examples,
    classes: &[String],
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    let logits = compute_logits(network, examples, progress)?;
    let mut tally = Tally::new(classes.to_vec());
    let name = |class: u32| classes[class as usize].clone();
    let mut predict = |(sample, row): (&Sample, &Vec<f32>)| {
        let predicted = tally.add(row, sample.label);
        Prediction {
            path: sample.relative.clone(),
            label: name(sample.label),
            predicted: name(predicted),
            probability: Tally::probabilities(row)[predicted as usize],
        }
    };
    let predictions = examples
        .samples()
        .iter()
        .zip(&logits)
        .map(&mut predict)
        .collect();
    Ok(Evaluation {
        scores: tally.scores(),
        predictions,
        logits,
    })
}

/// Logits `[N, K]` of examples that are batched for evaluation, with a progress bar where images are to be
/// prepared.
pub fn logits(
    network: &Network,
    examples: &Examples,
    context: &TrainingContext<'_>,
) -> Result<Vec<Vec<f32>>> {
    if let Examples::Features(_) = examples {
        return compute_logits(network, examples, &mut |_| {});
    }
    let bar = context
        .printer
        .image_bar("evaluating", examples.samples().len() as u64);
    let logits = compute_logits(network, examples, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    logits
}

/// The features of images; of pairs, the distances of their features. Each image is computed once.
///
/// `progress` gets the numbers of batches and of images done, after each batch.
pub(crate) fn features(
    model: &Model,
    examples: &Examples,
    batching: &Batching,
    progress: &mut dyn FnMut(&Examples, usize, usize) -> Result<()>,
) -> Result<Features> {
    let images = match examples {
        Examples::Features(loader) => return Ok(Features::clone(loader.features())),
        Examples::Images(loader) if loader.pairs().is_some() => {
            &batching.images(Arc::clone(loader.images()), Purpose::Evaluation)
        }
        examples => examples,
    };
    let device = model.device();
    let (mut num_images, mut values) = (0, vec![]);
    for (index, batch) in images.batches(1, 0).enumerate() {
        let Batch { inputs, labels } = batch?;
        values.extend(tensors::read(model.features(inputs, &device)?)?); // [N, D]
        num_images += labels.len();
        progress(images, index + 1, num_images)?;
    }
    let samples = images.samples().to_vec();
    let width = values.len() / samples.len().max(1);
    let features = Features::new(samples, width, vec![values]);
    Ok(match (examples, model.network.distance()) {
        (Examples::Images(loader), Some(distance)) => {
            let pairs = loader.pairs().map_or(&[][..], |pairs| pairs);
            features.distances(pairs, distance)
        }
        _ => features,
    })
}

/// The logits of pairs, that of the answer `same` each, with a progress bar where images are to be prepared.
pub fn pair_logits(
    network: &Network,
    pairs: &Examples,
    batching: &Batching,
    context: &TrainingContext<'_>,
) -> Result<Vec<f64>> {
    let bar = context
        .printer
        .image_bar("evaluating", pairs.samples().len() as u64);
    let distances = features(
        &Model::from(network.valid()),
        pairs,
        batching,
        &mut |_, _, done| {
            bar.set_position(done as u64);
            Ok(())
        },
    );
    bar.finish_and_clear();
    let distances = batching.features(Arc::new(distances?), Purpose::Evaluation);
    let logits = compute_logits(network, &distances, &mut |_| {})?;
    // The other one is 0.
    Ok(logits.iter().map(|row| f64::from(row[1])).collect())
}

/// Decides at the equal error rate of the validation pairs, whose scores come with it.
///
/// # Errors
/// An image cannot be read; all pairs whose images can be read have one answer.
pub fn decide(
    network: &Network,
    val: &Examples,
    batching: &Batching,
    context: &TrainingContext<'_>,
) -> Result<(Decision, Vec<f64>)> {
    let val = val.rebatched(Purpose::Evaluation, batching);
    let logits = pair_logits(network, &val, batching, context)?;
    let same: Vec<bool> = val.labels().into_iter().map(|label| label == 1).collect();
    let score = PairScore::of(network)?;
    // Pairs of both answers were checked, but images may be unreadable.
    let decision = score.decision(&logits, &same).ok_or_else(|| {
        Error::refused("the validation pairs whose images can be read have one answer alone")
    })?;
    let scores = logits.iter().map(|logit| score.score(*logit)).collect();
    Ok((decision, scores))
}

/// Scores for people: which images were scored and what computed them, then the table.
pub fn scores_text(split: Split, computed_by: &str, scores: &Scores) -> String {
    let table = data::metrics::table(scores);
    format!("{split} images, {computed_by}\n{}", table.trim_end())
}

/// Logits `[N, K]` of examples that are batched for evaluation; `progress` gets the number of examples done.
pub(crate) fn compute_logits(
    network: &Network,
    examples: &Examples,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Vec<f32>>> {
    let model = Model::from(network.valid());
    let device = model.device();
    let mut rows = Vec::with_capacity(examples.samples().len());
    // Any epoch: batches for evaluation are neither shuffled nor augmented.
    for batch in examples.batches(1, 0) {
        let Batch { inputs, .. } = batch?;
        rows.extend(tensors::read_rows(model.forward(inputs, &device)?)?); // [N, K]
        progress(rows.len());
    }
    Ok(rows)
}
