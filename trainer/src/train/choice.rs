//! Choice between a fine-tuned network and the frozen backbone that it began as. It knows no loop.

use std::collections::BTreeMap;

use burn::module::Module;
use models::Network;
use report::run_files::{FineTuned, NetworkScore};

use super::objective::{Objective, Targets};
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
    objective: &Objective,
    keep: Keep,
) -> Result<FineTuned> {
    let is_pairs = frozen.distance().is_some();
    let examples = data.val.rebatched(Purpose::Evaluation, &data.batching);
    let objective = objective.of_validation();
    let frozen = Losses::of(frozen, &examples, &objective)?;
    let tuned = Losses::of(tuned, &examples, &objective)?;
    let pairs = frozen.losses.iter().zip(&tuned.losses);
    let gains: Vec<f64> = pairs.map(|(frozen, tuned)| frozen - tuned).collect();
    let (gain, standard_error) = mean_and_error(&gains, &examples.groups());
    let is_better = standard_error.is_some_and(|error| gain > error);
    Ok(FineTuned {
        images: gains.len(),
        pairs: is_pairs,
        frozen: frozen.score(),
        tuned: tuned.score(),
        gain,
        standard_error,
        kept_tuned: is_better || keep == Keep::Tuned,
        is_better,
    })
}

/// The mean, and its standard error where there are two groups or more. The values of a group are high or low together
/// (a sandwich estimator: Liang and Zeger 1986).
fn mean_and_error(values: &[f64], groups: &[u32]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
    for (value, group) in values.iter().zip(groups) {
        *sums.entry(*group).or_default() += value - mean;
    }
    let squares: f64 = sums.values().map(|sum| sum * sum).sum();
    let num_groups = sums.len() as f64;
    let error =
        (sums.len() > 1).then(|| (squares * num_groups / (num_groups - 1.0)).sqrt() / count);
    (mean, error)
}

/// Log loss of each image, and the right answers.
struct Losses {
    losses: Vec<f64>,
    correct: usize,
}

impl Losses {
    fn of(network: &Network, examples: &Examples, objective: &Objective) -> Result<Self> {
        let logits = compute_logits(&network.valid(), examples, &mut |_| {})?;
        let labels = examples.labels();
        let rows = || logits.iter().zip(&labels);
        let is_right = |(row, label): &(&Vec<f32>, &u32)| data::metrics::argmax(row) == **label;
        Ok(Self {
            losses: rows()
                .map(|(row, &label)| objective.value(row, &Targets::Classes(vec![label])))
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
        let values = [0.1, 0.3, -0.1, 0.5];
        let (mean, error) = mean_and_error(&values, &[0, 1, 2, 3]);
        assert!((mean - 0.2).abs() < 1e-12);
        assert!((error.unwrap() - 0.129_099_444_873_580_55).abs() < 1e-12);
        assert_eq!(mean_and_error(&[0.5], &[0]).1, None);
        // Copies of a value in its group are no new evidence.
        let copies = values.map(|value| [value; 3]).concat();
        let groups = [0, 1, 2, 3].map(|group| [group; 3]).concat();
        let (mean, of_copies) = mean_and_error(&copies, &groups);
        assert!((mean - 0.2).abs() < 1e-12);
        assert!((of_copies.unwrap() - error.unwrap()).abs() < 1e-12);
    }
}
