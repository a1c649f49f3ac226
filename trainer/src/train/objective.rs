//! Objective: the loss that training minimises. It knows no network and no loop.
//!
//! Another objective (soft labels, class weights, a contrastive loss) is another variant of [`Objective`].

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use data::metrics::negative_log_likelihood;

/// A loss of a network's output and the labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy of logits and one class per example, as `torch.nn.CrossEntropyLoss()`.
    #[default]
    CrossEntropy,
}

impl Objective {
    /// The mean loss of a batch of logits `[N, K]`, to be differentiated.
    pub(crate) fn loss(self, logits: Tensor<2>, labels: &[u32]) -> Tensor<1> {
        match self {
            Self::CrossEntropy => {
                let labels: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
                let labels = TensorData::new(labels, [logits.dims()[0], 1]);
                let labels = Tensor::<2, Int>::from_data(labels, &logits.device());
                log_softmax(logits, 1).gather(1, labels).mean().neg()
            }
        }
    }

    /// The loss of one example in double precision, for the history of the run.
    pub(crate) fn value(self, logits: &[f32], label: u32) -> f64 {
        match self {
            Self::CrossEntropy => negative_log_likelihood(logits, label),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn loss(logits: [[f32; 3]; 2], labels: [u32; 2]) -> f32 {
        let logits = Tensor::from_floats(logits, &Device::default());
        Objective::CrossEntropy.loss(logits, &labels).into_scalar()
    }

    #[test]
    fn cross_entropy_is_that_of_pytorch() {
        // torch 2.15: `cross_entropy(tensor([[2, -1, 0.5], [0.1, 0.2, 3]]), tensor([0, 1]))`
        let found = loss([[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], [0, 1]);
        assert!((found - 1.575_456_4).abs() < 1e-6, "{found}");
    }

    #[test]
    fn cross_entropy_of_huge_logits_is_finite() {
        let found = loss([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]], [0, 1]);
        assert!((found - 1e4).abs() < 1e-2, "{found}");
    }
}
