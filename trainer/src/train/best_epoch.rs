//! Best epoch and early stopping. It knows no network and no file.

use serde::{Deserialize, Serialize};

use crate::recipe::Criterion;

/// Validation of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochScore {
    /// The epoch, counted from 1.
    pub epoch: usize,
    pub val_loss: f64,
    /// Its validation accuracy, percent.
    pub val_accuracy: f64,
}

/// Keeps the best epoch and counts the epochs since.
///
/// By accuracy, the lower loss decides among equals: on a small validation set most epochs tie.
/// Where both are equal the earlier epoch stays the best. Early stopping counts epochs without a
/// new best by this same rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    best: Option<EpochScore>,
    epochs_since_best: usize,
}

impl BestEpoch {
    /// Adds an epoch; returns whether it is the new best.
    pub fn observe(&mut self, criterion: Criterion, epoch: EpochScore) -> bool {
        let better = self.best.is_none_or(|best| match criterion {
            Criterion::ValLoss => epoch.val_loss < best.val_loss,
            Criterion::ValAccuracy => {
                epoch.val_accuracy > best.val_accuracy
                    || (epoch.val_accuracy == best.val_accuracy && epoch.val_loss < best.val_loss)
            }
            Criterion::Last | Criterion::Auto => true,
        });
        if better {
            self.best = Some(epoch);
            self.epochs_since_best = 0;
        } else {
            self.epochs_since_best += 1;
        }
        better
    }

    /// The best epoch so far; none before the first has ended.
    pub fn best(&self) -> Option<EpochScore> {
        self.best
    }

    /// Whether `patience` epochs in a row brought no new best.
    pub fn is_exhausted(&self, patience: Option<usize>) -> bool {
        // A patience of 0 would stop before the first epoch.
        patience.is_some_and(|patience| self.epochs_since_best >= patience.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(criterion: Criterion, epochs: &[(f64, f64)]) -> (Vec<bool>, BestEpoch) {
        let mut best = BestEpoch::default();
        let news = epochs
            .iter()
            .enumerate()
            .map(|(i, &(val_loss, val_accuracy))| {
                best.observe(
                    criterion,
                    EpochScore {
                        epoch: i + 1,
                        val_loss,
                        val_accuracy,
                    },
                )
            })
            .collect();
        (news, best)
    }

    #[test]
    fn the_criterion_decides_which_epoch_is_best() {
        let epochs = [(0.9, 60.0), (0.5, 55.0), (0.7, 70.0)];
        let (news, best) = run(Criterion::ValAccuracy, &epochs);
        assert_eq!(news, [true, false, true]);
        assert_eq!(best.best().unwrap().epoch, 3);
        let (news, best) = run(Criterion::ValLoss, &epochs);
        assert_eq!(news, [true, true, false]);
        assert_eq!(best.best().unwrap().epoch, 2);
    }

    #[test]
    fn among_equal_accuracies_the_lower_loss_wins_and_full_ties_keep_the_earlier() {
        let epochs = [(0.5, 80.0), (0.6, 80.0), (0.4, 80.0), (0.4, 80.0)];
        let (news, best) = run(Criterion::ValAccuracy, &epochs);
        assert_eq!(news, [true, false, true, false]);
        assert_eq!(best.best().unwrap().epoch, 3);
    }

    #[test]
    fn it_is_exhausted_after_exactly_n_epochs_without_a_new_best() {
        let (_, best) = run(Criterion::ValLoss, &[(0.5, 0.0), (0.6, 0.0)]);
        assert!(!best.is_exhausted(Some(2)));
        let (_, best) = run(Criterion::ValLoss, &[(0.5, 0.0), (0.6, 0.0), (0.5, 0.0)]);
        assert!(best.is_exhausted(Some(2)));
        assert!(!best.is_exhausted(None));
        let (_, best) = run(Criterion::ValLoss, &[(0.5, 0.0), (0.6, 0.0), (0.4, 0.0)]);
        assert!(!best.is_exhausted(Some(1)));
    }
}
