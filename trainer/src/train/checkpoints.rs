//! Checkpoints of a training: where they go, which of them stay, and which network is the result. They know no
//! loop.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::optim::ModuleOptimizer;
use burn::tensor::TensorData;
use models::Network;

use super::TrainOptions;
use super::average::Average;
use super::checkpoint::Checkpoint;
use super::history;
use super::state::State;
use crate::error::Result;
use crate::recipe::SaveKind;
use crate::run_dir::RunDir;

/// The checkpoints of one training: in a run folder, or the best weights in memory alone.
pub struct Checkpoints<'a> {
    run: Option<&'a RunDir>,
    /// What an interrupted training left.
    resumed: Option<Checkpoint>,
    /// The best epoch's trained tensors, where no folder keeps them.
    best: Option<BTreeMap<String, TensorData>>,
    /// Those of the frozen backbone that a fine-tuning began as, likewise.
    frozen: Option<BTreeMap<String, TensorData>>,
}

/// What an epoch leaves.
pub(super) struct Saved<'a> {
    /// In training.
    pub(super) network: &'a Network,
    pub(super) average: &'a Average,
    pub(super) optimizer: &'a ModuleOptimizer,
    pub(super) state: &'a State,
}

impl Saved<'_> {
    fn capture(&self) -> Result<Checkpoint> {
        Checkpoint::capture(self.network, self.average.get(), self.optimizer, self.state)
    }

    fn result(&self) -> BTreeMap<String, TensorData> {
        let network = self.average.result(self.network);
        network.state().into_iter().collect()
    }
}

impl<'a> Checkpoints<'a> {
    /// Checkpoints and `metrics.csv` in a run folder; training continues from `resumed`.
    pub fn in_folder(run: &'a RunDir, resumed: Option<Checkpoint>) -> Self {
        Self {
            run: Some(run),
            resumed,
            best: None,
            frozen: None,
        }
    }

    /// No files: the best weights stay in memory.
    pub fn in_memory() -> Self {
        Self {
            run: None,
            resumed: None,
            best: None,
            frozen: None,
        }
    }

    pub(super) fn take_resumed(&mut self) -> Option<Checkpoint> {
        self.resumed.take()
    }

    /// Saves a training that is interrupted, perhaps in the middle of an epoch.
    pub(super) fn save_interrupted(&self, saved: &Saved<'_>) -> Result<()> {
        match self.run {
            Some(run) => saved.capture()?.save(&[run.last()]),
            None => Ok(()),
        }
    }

    /// Saves the frozen backbone, with its classification layer, that a fine-tuning begins as.
    pub(super) fn save_frozen(&mut self, saved: &Saved<'_>) -> Result<()> {
        match self.run {
            Some(run) => saved.capture()?.save(&[run.frozen()]),
            None => {
                self.frozen = Some(saved.result());
                Ok(())
            }
        }
    }

    /// Saves an epoch that is done: `epoch-N` with [`SaveKind::All`], `best` where it is the new best,
    /// `last` always, and the history.
    pub(super) fn save_epoch(
        &mut self,
        saved: &Saved<'_>,
        save: SaveKind,
        new_best: bool,
    ) -> Result<()> {
        let (state, keep_best) = (saved.state, new_best && save != SaveKind::Last);
        let Some(run) = self.run else {
            if keep_best {
                self.best = Some(saved.result());
            }
            return Ok(());
        };
        let mut paths: Vec<PathBuf> = vec![];
        if save == SaveKind::All {
            let name = format!("epoch-{}.safetensors", state.epoch - 1);
            paths.push(run.path().join(name));
        }
        if keep_best {
            paths.push(run.best());
        }
        // `last` comes last: after a kill in between, the run repeats this epoch.
        paths.push(run.last());
        saved.capture()?.save(&paths)?;
        self.save_history(state)
    }

    pub(super) fn save_history(&self, state: &State) -> Result<()> {
        match self.run {
            Some(run) => history::write(&run.metrics(), &state.rows),
            None => Ok(()),
        }
    }

    /// The resulting network and its epoch: that of the best epoch, or the last with
    /// [`SaveKind::Last`].
    pub(super) fn best_network(
        &self,
        last: Network,
        state: &State,
        options: &TrainOptions,
    ) -> Result<(Network, usize)> {
        let epochs_done = state.epoch - 1;
        let best = state.stopping.best();
        let wanted = options.save != SaveKind::Last;
        if let Some(best) = best.filter(|best| wanted && best.epoch != epochs_done) {
            // A run that began with `--save last` has no such file.
            let file = self.run.map(RunDir::best).filter(|file| file.exists());
            if let Some(file) = file {
                let checkpoint = Checkpoint::open(&file)?;
                return Ok((checkpoint.network(last)?, checkpoint.epochs_done()));
            }
            if let Some(state) = &self.best {
                return Ok((last.load_state(state)?, best.epoch));
            }
        }
        Ok((last, epochs_done))
    }

    /// The frozen backbone that a fine-tuning began as.
    pub(super) fn frozen_network(&self, tuned: Network) -> Result<Network> {
        match (self.run, &self.frozen) {
            (Some(run), _) => Checkpoint::open(&run.frozen())?.network(tuned),
            (None, Some(state)) => Ok(tuned.load_state(state)?),
            (None, None) => unreachable!("`save_frozen` comes before the first epoch"),
        }
    }

    /// Makes the frozen backbone the best checkpoint, which export and evaluation take, or undoes that of an earlier
    /// end of this training.
    pub(super) fn keep(&self, tuned: bool, save: SaveKind) -> Result<()> {
        let Some(run) = self.run else {
            return Ok(());
        };
        match (tuned, save) {
            (false, _) => data::write::atomically(&run.best(), &fs_err::read(run.frozen())?)?,
            (true, SaveKind::Last) if run.best().exists() => fs_err::remove_file(run.best())?,
            (true, _) => {}
        }
        Ok(())
    }
}
