//! Evaluation of a verifier on pairs of images. Every image is encoded once.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use data::metrics::{ScoredPair, VerificationScores};
use data::{Pair, Pairs, Sample, Split};
use pixels::Unreadable;

use super::{EvalOptions, run_batches};
use crate::error::{Error, Result};
use crate::verifier::Verifier;

/// Result of an evaluation on pairs.
#[derive(Debug, Clone)]
pub struct PairEvaluation {
    /// Equal error rate, area under the ROC curve, errors at the verifier's threshold.
    pub scores: VerificationScores,
    /// Pairs of readable images, in the order given.
    pub pairs: Vec<Pair>,
    /// Their scores.
    pub scored: Vec<ScoredPair>,
    /// Images that were left out, and the pairs with them.
    pub unreadable: Vec<Unreadable>,
    /// From the first file read to the last answer.
    pub seconds: f64,
}

impl PairEvaluation {
    /// Writes the answers as CSV with the columns `path_a,path_b,label,answer,probability`, or `distance` in place of
    /// the last.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_csv(&self, path: &Path, pairs: &Pairs, split: Split) -> Result<()> {
        let scores = self.scored.iter().map(|scored| scored.score);
        let answers = self.pairs.iter().copied().zip(scores);
        let decision = (self.scores.score, self.scores.threshold);
        Ok(pairs.write_answers(path, split, answers, decision)?)
    }
}

/// Compares the images of `pairs`, which are indices into `samples`, and scores the answers.
///
/// # Errors
/// All pairs have one answer; an image cannot be read (strict), or more than 5 %; the model stops.
pub fn evaluate_pairs(
    verifier: &Verifier,
    samples: &[Sample],
    pairs: &[Pair],
    options: &EvalOptions<'_>,
) -> Result<PairEvaluation> {
    if samples.is_empty() {
        return Err(Error::no_images());
    }
    let (start, encoder) = (Instant::now(), verifier.encoder());
    let width = encoder.classes().len();
    let (mut features, mut unreadable) = (HashMap::new(), Vec::new());
    run_batches(encoder, samples, options, &mut |result| {
        for (index, reason) in result.unreadable {
            let path = samples[index].path.clone();
            if options.strict {
                return Err(Error::unreadable(&path, &reason));
            }
            unreadable.push(Unreadable { path, reason });
        }
        let rows = result.logits.chunks_exact(width).map(<[f32]>::to_vec);
        features.extend(result.readable.into_iter().zip(rows));
        (options.progress)(features.len() + unreadable.len());
        Ok(())
    })?;
    data::unreadable::check(&unreadable, samples.len())?;
    let is_readable =
        |pair: &&Pair| features.contains_key(&pair.a) && features.contains_key(&pair.b);
    let pairs: Vec<Pair> = pairs.iter().filter(is_readable).copied().collect();
    let score = |pair: &Pair| {
        let answer = verifier.compare(&features[&pair.a], &features[&pair.b]);
        let answer = answer.map_err(|error| error.about(samples[pair.a].path.display()))?;
        Ok(ScoredPair {
            score: answer.score,
            kind: pair.kind,
            identity: samples[pair.a].label,
        })
    };
    let scored: Vec<ScoredPair> = pairs.iter().map(score).collect::<Result<_>>()?;
    let scores = VerificationScores::new(&scored, verifier.score_kind(), verifier.threshold());
    Ok(PairEvaluation {
        scores: scores.ok_or_else(Error::one_answer)?,
        pairs,
        scored,
        unreadable,
        seconds: start.elapsed().as_secs_f64(),
    })
}
