//! `fit --folds K`: cross-validation before the run's own training.

use data::Prediction;
use models::Network;

use super::trials::{Pool, Trials};
use crate::error::Result;
use crate::folds::{self, Division, Folds};
use crate::run_dir::RunDir;
use crate::summary;

/// Suspects that are listed on the terminal.
const LISTED: usize = 5;

impl Trials<'_> {
    /// Trains, calibrates and scores the folds, as the run itself will be; writes `folds.json` and `suspects.csv`, and says what is in them.
    /// `fresh` is the network before training. Pictures are trained on in folders of their own, which an
    /// interrupted run goes on with.
    pub(super) fn cross_validate(&self, count: usize, pool: &Pool, fresh: &Network) -> Result<()> {
        let (samples, printer) = (pool.samples(), self.machine.printer);
        let division = Division::new(samples, self.classes, count, self.recipe.seed)?;
        let mut parts = vec![];
        for number in 0..count {
            self.go_on()?;
            let fold = division.fold(number);
            let loaders = self.loaders(pool, &fold);
            let (network, folder) = match pool {
                Pool::Rows(_) => (fresh.clone(), None),
                Pool::Pictures(_) => {
                    printer.log(format!("fold {} of {count}", number + 1));
                    let name = format!("{}-of-{count}", number + 1);
                    let folder = self.run.part("folds", &name)?;
                    (
                        self.machine.network(self.recipe, self.classes.len())?,
                        Some(folder),
                    )
                }
            };
            let mut outcome = self.fit(network, &loaders, folder.as_ref())?;
            let images = [
                &pool.select(&[&fold.train[..], &fold.val].concat()),
                &pool.select(&fold.val),
            ];
            self.calibrate(&mut outcome, fresh, images)?;
            parts.push(self.logits(&outcome.network, pool, &fold.held_out)?);
        }
        let held_out = division.gather(parts);
        let scores = Folds::new(&division, &held_out);
        let answers = match pool {
            Pool::Rows(rows) => folds::answers(rows, self.classes.len(), &division, self.stop),
            Pool::Pictures(_) => held_out,
        };
        self.go_on()?;
        let suspects = folds::suspects(samples, self.classes, &answers);
        summary::save(&self.run.folds(), &scores)?;
        data::metrics::write_predictions(&self.run.suspects(), &suspects)?;
        printer.result(scores.table())?;
        printer.result(list(self.run, &suspects))?;
        Ok(())
    }
}

fn list(run: &RunDir, suspects: &[Prediction]) -> String {
    let file = run.suspects();
    let mut text = format!(
        "{} images whose label the others contradict: `{}`",
        suspects.len(),
        file.display()
    );
    for suspect in suspects.iter().take(LISTED) {
        text += &format!(
            "\n  {}  {}, or {} ({:.1} %)",
            suspect.path,
            suspect.label,
            suspect.predicted,
            100.0 * suspect.probability
        );
    }
    text
}
