//! Score of a verifier: what its file says of two images, by the logit or the features of the network. It knows no
//! runtime.

use data::card::ScoreKind;
use data::metrics::Det;
use models::{Distance, Network};
use onnx::siamese::DistanceHead;

use crate::error::Result;
use crate::tensors;

/// From the logit of a pair to its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScore {
    pub kind: ScoreKind,
    /// The logit of a distance is how far it is below this.
    half_margin: f64,
}

/// How a verifier decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    pub kind: ScoreKind,
    /// The least probability, or the largest distance, of the same.
    pub threshold: f64,
}

impl PairScore {
    pub fn of(network: &Network) -> Result<Self> {
        let kind = match network.distance() {
            Some(Distance::Euclidean) => ScoreKind::Distance,
            Some(Distance::AbsoluteDifference | Distance::Cosine) | None => ScoreKind::Probability,
        };
        let (_, bias) = layer(network)?;
        Ok(Self {
            kind,
            half_margin: bias,
        })
    }

    pub fn score(&self, logit: f64) -> f64 {
        match self.kind {
            ScoreKind::Probability => 1.0 / (1.0 + (-logit).exp()),
            ScoreKind::Distance => self.half_margin - logit,
        }
    }

    /// Decides at the equal error rate of pairs by their logits; none where all have one answer.
    pub fn decision(&self, logits: &[f64], same: &[bool]) -> Option<Decision> {
        let similarity = |logit: &f64| self.kind.similarity(self.score(*logit));
        let similarities: Vec<f64> = logits.iter().map(similarity).collect();
        let threshold = Det::new(&similarities, same)?.decision_threshold();
        Some(Decision {
            kind: self.kind,
            threshold: self.kind.similarity(threshold),
        })
    }
}

/// What follows the features in a verifier's file.
pub fn distance_head(network: &Network) -> Result<DistanceHead> {
    let distance = network.distance().unwrap_or_default();
    let (mut weight, mut bias) = layer(network)?;
    if distance == Distance::Euclidean {
        weight.iter_mut().for_each(|weight| *weight = -*weight);
        bias = 0.0;
    }
    Ok(DistanceHead {
        distance,
        width: network.num_features(),
        weight,
        bias: bias as f32,
    })
}

/// Weight and bias of a verifier's layer.
fn layer(network: &Network) -> Result<(Vec<f32>, f64)> {
    let fc = network.fc();
    let bias = match &fc.bias {
        Some(bias) => f64::from(tensors::read(bias.val().unsqueeze())?[0]),
        None => 0.0,
    };
    Ok((tensors::read(fc.weight.val())?, bias))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_decides_the_other_way_round() {
        let score = |kind| PairScore {
            kind,
            half_margin: 0.5,
        };
        let (logits, same) = ([0.4, 0.2, -0.2, -0.4], [true, true, false, false]);
        let distance = score(ScoreKind::Distance).decision(&logits, &same).unwrap();
        // Distances 0.1, 0.3, 0.7 and 0.9: half way between the second and the third.
        assert!((distance.threshold - 0.5).abs() < 1e-12, "{distance:?}");
        let probability = score(ScoreKind::Probability);
        let probability = probability.decision(&logits, &same).unwrap();
        assert!(
            (probability.threshold - 0.5).abs() < 1e-12,
            "{probability:?}"
        );
        assert_eq!(
            score(ScoreKind::Distance).decision(&logits, &[true; 4]),
            None
        );
    }
}
