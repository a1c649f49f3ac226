//! The temperature of a trained network, fitted on what it was not trained on.

use models::Network;

use super::stock::Stock;
use super::trials::{Pool, Trials};
use crate::calibrate::{Calibration, HeldOut};
use crate::error::Result;
use crate::fit::Outcome;
use crate::folds::Division;
use crate::run_dir::RunDir;
use crate::summary;

/// Folds of the features that a frozen network's temperature is fitted on.
const FOLDS: usize = 5;

impl Trials<'_> {
    /// Fits a temperature for a trained network, writes `calibration.json` to `folder` and puts the
    /// calibrated network in its place; nothing where the recipe or a single image forbids it.
    ///
    /// A network whose features are kept: every training and validation image is held out once from the
    /// training of a last layer that begins as `fresh` does. Any other: the validation images.
    pub(super) fn calibrate(
        &self,
        outcome: &mut Outcome,
        fresh: &Network,
        stock: &Stock,
        folder: &RunDir,
    ) -> Result<Option<Calibration>> {
        let held_out = match self.recipe.no_calibrate {
            true => None,
            false => Some(self.held_out(outcome, fresh, stock)?),
        };
        let Some((held_out, fitted_on)) =
            held_out.filter(|(held_out, _)| held_out.labels.len() > 1)
        else {
            // A resumed run may have left one.
            forget(folder)?;
            return Ok(None);
        };
        let calibration = Calibration::fit(&held_out, fitted_on, outcome.epoch);
        summary::save(&folder.calibration(), &calibration)?;
        outcome.network = calibration.apply(outcome.network.clone());
        Ok(Some(calibration))
    }

    fn held_out(
        &self,
        outcome: &Outcome,
        fresh: &Network,
        stock: &Stock,
    ) -> Result<(HeldOut, String)> {
        if let Stock::Features(_) = stock {
            let pool = stock.pool();
            // There may be too few images for folds.
            if let Ok(division) =
                Division::new(pool.samples(), self.classes, FOLDS, self.recipe.seed)
            {
                let what = format!("out-of-fold features, {FOLDS} folds");
                return Ok((
                    self.out_of_fold(&division, fresh, &pool, outcome.epoch)?,
                    what,
                ));
            }
        }
        let held_out = self.validation(&outcome.network, &stock.validation())?;
        Ok((held_out, "validation images".into()))
    }

    fn validation(&self, network: &Network, pool: &Pool) -> Result<HeldOut> {
        let places: Vec<usize> = (0..pool.samples().len()).collect();
        Ok(HeldOut {
            logits: self.logits(network, pool, &places)?,
            labels: pool.samples().iter().map(|sample| sample.label).collect(),
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

fn forget(folder: &RunDir) -> Result<()> {
    match fs_err::remove_file(folder.calibration()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
