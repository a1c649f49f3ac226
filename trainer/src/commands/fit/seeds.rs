//! `fit --seeds N`: the run's training again with other seeds.
//!
//! The split stays that of the first seed: all are trained, validated and scored on the same images, so
//! what differs is the training's own chance (initial weights, order, augmentation). The others lie in
//! `seeds/SEED` of the run folder, each a run folder that `trainer eval` and `trainer export` take.

use data::{Dataset, Split};
use models::Network;

use super::stock::Stock;
use super::trials::Trials;
use crate::calibrate::Calibration;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::seeds::Seeds;
use crate::summary;

impl Trials<'_> {
    /// Trains with the seeds after the run's own, if there are to be any, scores all on the images of
    /// `split`, writes `seeds.json` and says what is in it. `first` is the run's own network, as exported.
    pub(super) fn repeat(
        &self,
        first: &Network,
        dataset: &Dataset,
        stock: &mut Stock,
        split: Split,
    ) -> Result<()> {
        let Some(count) = self.recipe.seeds else {
            return Ok(());
        };
        let scored = stock.scored(self, dataset, split)?;
        let all: Vec<usize> = (0..scored.samples().len()).collect();
        let own = self.recipe.seed;
        let mut runs = vec![(own, self.logits(first, &scored, &all)?)];
        for seed in own + 1..own + count as u64 {
            self.go_on()?;
            let number = runs.len() + 1;
            let printer = self.machine.printer;
            printer.log(format!("seed {seed} ({number} of {count})"));
            let recipe = Recipe {
                seed,
                seeds: None,
                folds: None,
                ..self.recipe.clone()
            };
            let trials = Trials {
                recipe: &recipe,
                ..*self
            };
            let network = trials.seed(dataset, stock)?;
            runs.push((seed, self.logits(&network, &scored, &all)?));
        }
        let seeds = Seeds::new(split, scored.samples(), self.classes, &runs);
        summary::save(&self.run.seeds(), &seeds)?;
        self.machine.printer.result(seeds.table())?;
        Ok(())
    }

    /// The network of one more seed, calibrated.
    fn seed(&self, dataset: &Dataset, stock: &Stock) -> Result<Network> {
        let folder = self.run.part("seeds", &self.recipe.seed.to_string())?;
        dataset.write_list(&folder.split())?;
        data::write::atomically(&folder.config(), self.recipe.to_toml()?.as_bytes())?;
        let network = self.machine.network(self.recipe, self.classes.len())?;
        let (fresh, loaders) = (network.clone(), stock.again(self));
        let mut outcome = self.fit(network, &loaders, Some(&folder))?;
        let images = [&stock.pool(), &stock.validation()];
        let calibration = self.calibrate(&mut outcome, &fresh, images)?;
        Calibration::save(calibration.as_ref(), &folder)?;
        Ok(outcome.network)
    }
}
