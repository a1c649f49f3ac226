//! Settings of pairs of images, and what refuses them.

use std::path::Path;

use super::{MOST_IMAGES_PER_STEP, Recipe, Task, ensure};
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
        ensure(
            !(self.is_pairs() && self.is_fine_tuned()),
            "fine-tune",
            self.fine_tune,
            "is for classifiers: with `--task pairs` a backbone stays frozen, and the custom ResNet is trained whole",
        )
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
            "`deploy eval`, `predict --pair`, `info` and `check` take its model",
        ))
    }
}
