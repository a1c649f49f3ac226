//! Evaluation of a verifier, as Burn computes it, on the pairs of a split, at the threshold of its own validation. It knows
//! no file.

use data::metrics::{ScoredPair, VerificationScores};
use data::{Pair, Pairs, Split};
use models::Network;

use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::evaluate::{decide, pair_logits};
use crate::examples::Examples;
use crate::pair_score::PairScore;
use crate::training_set::{PairExamples, TrainingSet};

/// The pairs of a split, for networks that were trained on the others.
pub struct EvaluationPairs<'a> {
    pub pairs: &'a Pairs,
    pub split: Split,
    /// Those whose images can be read.
    pub readable: Vec<Pair>,
    /// In the same order.
    examples: Examples,
}

impl<'a> EvaluationPairs<'a> {
    pub fn new(pairs: &'a Pairs, split: Split, (examples, readable): PairExamples) -> Self {
        Self {
            pairs,
            split,
            readable,
            examples,
        }
    }

    /// The scores of a network, and whether it says that the images of each pair are the same.
    ///
    /// # Errors
    /// An image cannot be read; all pairs whose images can be read have one answer.
    pub fn score(
        &self,
        network: &Network,
        data: &TrainingSet,
        context: &TrainingContext<'_>,
    ) -> Result<(VerificationScores, Vec<bool>)> {
        let (decision, _) = decide(network, &data.val, &data.batching, context)?;
        let logits = pair_logits(network, &self.examples, &data.batching, context)?;
        let score = PairScore::of(network)?;
        let samples = self.pairs.images.samples(self.split);
        let scored: Vec<ScoredPair> = logits
            .iter()
            .zip(&self.readable)
            .map(|(logit, pair)| ScoredPair {
                score: score.score(*logit),
                kind: pair.kind,
                identity: samples[pair.a].label,
            })
            .collect();
        let is_same = |pair: &ScoredPair| decision.kind.accepts(pair.score, decision.threshold);
        let answers = scored.iter().map(is_same).collect();
        let scores = VerificationScores::new(&scored, decision.kind, decision.threshold);
        let one_answer = || {
            let root = self.pairs.images.root.display();
            Error::refused(format!(
                "the {} pairs of `{root}` whose images can be read have one answer alone",
                self.split
            ))
        };
        Ok((scores.ok_or_else(one_answer)?, answers))
    }
}
