//! The temperature of a trained network, fitted on what it was not trained on.

use models::Network;

use super::trials::{Pool, Trials};
use crate::calibrate::{Calibration, HeldOut};
use crate::error::Result;
use crate::fit::Outcome;
use crate::folds::Division;

/// Folds of the features that a frozen network's temperature is fitted on.
const FOLDS: usize = 5;

impl Trials<'_> {
    /// Fits a temperature for a trained network and puts the calibrated network in its place; nothing
    /// where the recipe or a single image forbids it.
    ///
    /// A network whose features are kept: every image of `pool`, its training and validation images, is
    /// held out once from the training of a last layer that begins as `fresh` does. Any other: the images
    /// of `val`.
    pub(super) fn calibrate(
        &self,
        outcome: &mut Outcome,
        fresh: &Network,
        [pool, val]: [&Pool; 2],
    ) -> Result<Option<Calibration>> {
        if self.recipe.no_calibrate || val.samples().len() < 2 {
            return Ok(None);
        }
        let (held_out, fitted_on) = self.held_out(outcome, fresh, [pool, val])?;
        let calibration = Calibration::fit(&held_out, fitted_on, outcome.epoch);
        outcome.network = calibration.apply(outcome.network.clone());
        Ok(Some(calibration))
    }

    fn held_out(
        &self,
        outcome: &Outcome,
        fresh: &Network,
        [pool, val]: [&Pool; 2],
    ) -> Result<(HeldOut, String)> {
        if let Pool::Rows(_) = pool {
            let seed = self.recipe.seed;
            // There may be too few images for folds.
            if let Ok(division) = Division::new(pool.samples(), self.classes, FOLDS, seed) {
                let what = format!("out-of-fold features, {FOLDS} folds");
                return Ok((
                    self.out_of_fold(&division, fresh, pool, outcome.epoch)?,
                    what,
                ));
            }
        }
        let held_out = self.validation(&outcome.network, val)?;
        Ok((held_out, "validation images".into()))
    }

    fn validation(&self, network: &Network, val: &Pool) -> Result<HeldOut> {
        let places: Vec<usize> = (0..val.samples().len()).collect();
        Ok(HeldOut {
            logits: self.logits(network, val, &places)?,
            labels: val.samples().iter().map(|sample| sample.label).collect(),
        })
    }

    /// Why the last layers of the run's own epoch, and not of each fold's best? How large logits are
    /// grows with the epochs, and the temperature is that of one epoch.
    fn out_of_fold(
        &self,
        division: &Division,
        fresh: &Network,
        pool: &Pool,
        epoch: usize,
    ) -> Result<HeldOut> {
        let mut parts = vec![];
        for fold in 0..FOLDS {
            self.go_on()?;
            let fold = division.fold(fold);
            let loaders = self.loaders(pool, &fold);
            let network = self.fit_to_epoch(fresh.clone(), &loaders, epoch)?;
            parts.push(self.logits(&network, pool, &fold.held_out)?);
        }
        Ok(division.gather(parts))
    }
}
