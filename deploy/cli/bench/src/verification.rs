//! Scores of a verifier on labelled pairs, and whether the session that is timed computes them. Measures no time.

use data::metrics::VerificationScores;
use data::{Limits, Pair, Preprocess, Sample, decode};
use deploy::eval::{EvalOptions, PairEvaluation, evaluate_pairs};
use deploy::{ClassifierBuilder, Result, Verifier};
use serde::{Deserialize, Serialize};

use crate::plan::{BenchModel, PairTestSet};
use crate::system;
use crate::worker::Worker;

/// Pairs that go through the timed session.
const COMPARED: usize = 32;

/// Scores of a verifier, and how far the timed session is from them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verification {
    /// By the encoder, which computes each image once: as `deploy eval` scores.
    #[serde(flatten)]
    pub scores: VerificationScores,
    /// Pairs, evenly spread, that went through the session of two images that is timed.
    pub compared: usize,
    /// The largest difference of their scores; null where one is no number.
    pub max_score_difference: Option<f64>,
}

/// Scores a verifier on its pairs.
///
/// # Errors
/// Whatever is wrong with the file; all pairs have one answer; too many images are unreadable; the model stops.
pub fn evaluate(model: &BenchModel, data: &PairTestSet) -> Result<PairEvaluation> {
    let threads = system::cores();
    let settings = ClassifierBuilder::default().parallel(threads);
    let verifier = Verifier::from_file(&model.file, settings)?;
    let options = EvalOptions {
        batch: verifier.encoder().preferred_batch(),
        threads: Some(threads),
        ..EvalOptions::default()
    };
    evaluate_pairs(
        &verifier,
        data.samples(),
        data.pairs.of(data.split),
        &options,
    )
}

/// Compares a timed session with the evaluation, and restores the session's input afterwards.
///
/// # Errors
/// An image cannot be read any more; the model stops.
pub fn compare(
    worker: &Worker,
    data: &PairTestSet,
    preprocess: &Preprocess,
    evaluation: &PairEvaluation,
) -> Result<Verification> {
    let step = evaluation.pairs.len().div_ceil(COMPARED).max(1);
    let chosen: Vec<(&Pair, f64)> = evaluation
        .pairs
        .iter()
        .zip(evaluation.scored.iter().map(|pair| pair.score))
        .step_by(step)
        .collect();
    let mut differences = Vec::with_capacity(chosen.len());
    for chunk in chosen.chunks(worker.batch) {
        let pairs: Vec<&Pair> = chunk.iter().map(|(pair, _)| *pair).collect();
        let images = batch(&pairs, data.samples(), preprocess, worker)?;
        let pending = worker.handle.submit(move |runner| {
            runner.fill(&images)?;
            runner.run()?;
            runner.outputs()
        });
        let scores = pending.wait()??;
        let both = scores.iter().zip(chunk);
        differences.extend(both.map(|(found, (_, score))| (f64::from(*found) - score).abs()));
    }
    worker.refill()?;
    Ok(Verification {
        scores: evaluation.scores.clone(),
        compared: differences.len(),
        // `total_cmp` puts NaN above every number: NaN must not look like agreement.
        max_score_difference: differences
            .into_iter()
            .max_by(f64::total_cmp)
            .filter(|largest| largest.is_finite()),
    })
}

/// A batch as the session takes it: the first images of the pairs, then the second ones, each padded to its size.
fn batch(
    pairs: &[&Pair],
    samples: &[Sample],
    preprocess: &Preprocess,
    worker: &Worker,
) -> Result<Vec<f32>> {
    let side_len = worker.batch * worker.info.image_len / 2;
    let mut images = Vec::with_capacity(2 * side_len);
    let sides: [fn(&Pair) -> usize; 2] = [|pair| pair.a, |pair| pair.b];
    for (index, side) in sides.iter().enumerate() {
        for pair in pairs {
            let path = &samples[side(pair)].path;
            let image = decode::open_as(path, preprocess.color(), &Limits::default())?;
            images.extend(preprocess.apply(&image)?);
        }
        images.resize((index + 1) * side_len, 0.0);
    }
    Ok(images)
}
