//! Settings of pairs of images, and what refuses them.

use std::path::Path;

use data::PairOptions;
use models::{Head, PairHead};

use super::{DistanceKind, MOST_IMAGES_PER_STEP, Recipe, Task, ensure};
use crate::error::{Error, Result};

impl Recipe {
    /// Whether pairs of images are trained on.
    pub fn is_pairs(&self) -> bool {
        self.task == Task::Pairs
    }

    /// Refuses what pairs cannot be trained with.
    pub(super) fn check_pairs(&self) -> Result<()> {
        let count = self.pairs_per_identity;
        let is_count = (1..=MOST_IMAGES_PER_STEP).contains(&count);
        let expected = format!("must be at least 1 and at most {MOST_IMAGES_PER_STEP}");
        ensure(is_count, "pairs-per-identity", count, &expected)?;
        let is_margin = self.margin.is_finite() && self.margin > 0.0;
        ensure(is_margin, "margin", self.margin, "must be above 0")
    }

    /// The margin of the contrastive loss; none where probabilities are trained.
    pub fn contrastive_margin(&self) -> Option<f64> {
        let is_contrastive = self.is_pairs() && self.distance == DistanceKind::Euclidean;
        is_contrastive.then_some(self.margin)
    }

    /// How pairs are drawn.
    pub fn pair_options(&self) -> PairOptions {
        PairOptions {
            seed: self.seed,
            per_identity: self.pairs_per_identity,
        }
    }

    /// What the network of a verifier ends with.
    pub fn pair_head(&self) -> PairHead {
        PairHead {
            distance: self.distance.into(),
            margin: self.margin,
        }
    }

    /// What the network ends with: so many classes, or the distance of a verifier.
    pub fn head(&self, num_classes: usize) -> Head {
        match self.is_pairs() {
            true => self.pair_head().into(),
            false => num_classes.into(),
        }
    }

    /// Refuses a verifier's run, for commands that know classifiers alone.
    pub fn refuse_pairs(&self, run: &Path) -> Result<()> {
        if !self.is_pairs() {
            return Ok(());
        }
        Err(Error::refused_with_hint(
            format!(
                "the run `{}` is a verifier's, and this command knows classifiers alone",
                run.display()
            ),
            "`deploy eval` scores its model",
        ))
    }
}
