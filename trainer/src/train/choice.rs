//! Choice between a fine-tuned network and the frozen backbone that it began as. It knows no loop.

use burn::module::Module;
use data::metrics::negative_log_likelihood;
use models::Network;
use report::run_files::{FineTuned, NetworkScore};

use crate::error::Result;
use crate::evaluate::compute_logits;
use crate::examples::{Examples, Purpose};
use crate::recipe::Keep;
use crate::training_set::TrainingSet;

/// Compares both networks on the validation images, as they are.
///
/// The simpler one is kept unless the other's log loss is lower by more than one standard error of the difference
/// (the one-standard-error rule: Breiman and others, 1984).
pub(super) fn compare(
    frozen: &Network,
    tuned: &Network,
    data: &TrainingSet,
    keep: Keep,
) -> Result<FineTuned> {
    let examples = data.val.rebatched(Purpose::Evaluation, &data.batching);
    let frozen = Losses::of(frozen, &examples)?;
    let tuned = Losses::of(tuned, &examples)?;
    let pairs = frozen.losses.iter().zip(&tuned.losses);
    let gains: Vec<f64> = pairs.map(|(frozen, tuned)| frozen - tuned).collect();
    let (gain, standard_error) = mean_and_error(&gains);
    let is_better = standard_error.is_some_and(|error| gain > error);
    Ok(FineTuned {
        images: gains.len(),
        frozen: frozen.score(),
        tuned: tuned.score(),
        gain,
        standard_error,
        kept_tuned: is_better || keep == Keep::Tuned,
        is_better,
    })
}

/// The mean, and its standard error where there are two values or more.
fn mean_and_error(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
    (mean, error)
}

/// Log loss of each image, and the right answers.
struct Losses {
    losses: Vec<f64>,
    correct: usize,
}

impl Losses {
    fn of(network: &Network, examples: &Examples) -> Result<Self> {
        let logits = compute_logits(&network.valid(), examples, &mut |_| {})?;
        let labels = examples.labels();
        let rows = || logits.iter().zip(&labels);
        let is_right = |(row, label): &(&Vec<f32>, &u32)| data::metrics::argmax(row) == **label;
        Ok(Self {
            losses: rows()
                .map(|(row, &label)| negative_log_likelihood(row, label))
                .collect(),
            correct: rows().filter(is_right).count(),
        })
    }

    fn score(&self) -> NetworkScore {
        let count = self.losses.len() as f64;
        NetworkScore {
            val_loss: self.losses.iter().sum::<f64>() / count,
            val_accuracy: self.correct as f64 / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mean_and_error;

    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        // numpy: `np.std([0.1, 0.3, -0.1, 0.5], ddof=1) / 2`.
        let (mean, error) = mean_and_error(&[0.1, 0.3, -0.1, 0.5]);
        assert!((mean - 0.2).abs() < 1e-12);
        assert!((error.unwrap() - 0.129_099_444_873_580_55).abs() < 1e-12);
        assert_eq!(mean_and_error(&[0.5]).1, None);
    }
}
